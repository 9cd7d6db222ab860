{{- define "certindex.name" -}}
{{- if contains "certindex" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-certindex{{ end }}
{{- end }}

{{- define "certindex.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The programs that are deployed, as one text */}}
{{- define "certindex.programs" -}}
indexer api{{ if .Values.deliver.enabled }} deliver{{ end }}
{{- end }}

{{/* What selects the pods of a program: of a dict with root and program */}}
{{- define "certindex.selector" -}}
app.kubernetes.io/name: certindex
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .program }}
{{- end }}

{{- define "certindex.metadata" -}}
name: {{ include "certindex.name" .root }}-{{ .program }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "certindex.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* What all programs have in their pods; of a dict with root, program and values */}}
{{- define "certindex.pod" -}}
serviceAccountName: {{ include "certindex.name" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "certindex.selector" . | nindent 8 }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- if eq .program "deliver" }}
  - name: subscriptions
    configMap:
      name: {{ include "certindex.name" .root }}-deliver
  {{- end }}
{{- end }}

{{- define "certindex.container" -}}
name: {{ .program }}
image: {{ include "certindex.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
envFrom:
  - secretRef:
      name: {{ required (printf "%s.secret: name the Secret that holds DATABASE_URL" .program) .values.secret }}
{{- with .values.settings }}
env:
  {{- range $name, $value := . }}
  - name: {{ $name }}
    value: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
resources:
  {{- toYaml .values.resources | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if eq .program "deliver" }}
  - name: subscriptions
    mountPath: /etc/certindex
    readOnly: true
  {{- end }}
{{- end }}
