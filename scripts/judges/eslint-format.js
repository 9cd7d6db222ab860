// One line for each problem, and how many files were read.
export default function format(results) {
  const problems = results.flatMap(({ filePath, messages }) =>
    messages.map(({ line, column, message, ruleId }) => `${filePath}:${line}:${column}: ${message} (${ruleId})`),
  );
  return [...problems, `${results.length} files read`].join("\n");
}
