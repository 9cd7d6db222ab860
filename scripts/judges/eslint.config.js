// @graphql-eslint on the schema and on the operations of tests, judges and page.
import graphql from "@graphql-eslint/eslint-plugin";

const { configs, parser } = graphql;
const plugins = { "@graphql-eslint": graphql };
const questions = "tests/support/api/*.graphql";
const operations = "scripts/judges/operations/*.graphql";
const parserOptions = { graphQLConfig: { schema: "schema/schema.graphql", documents: [questions, operations] } };
const languageOptions = { parser, parserOptions };
const rule = (name) => `@graphql-eslint/${name}`;

function naming({ rules }) {
  const [, options] = rules[rule("naming-convention")];
  return { ...options, allowLeadingUnderscore: true, FieldDefinition: { style: "camelCase", ignorePattern: "^_meta$" } };
}

export default [
  {
    files: ["schema/schema.graphql"],
    languageOptions,
    plugins,
    rules: {
      ...configs["flat/schema-recommended"].rules,
      ...configs["flat/schema-relay"].rules,
      // values, pages and edges have no identity
      [rule("strict-id-in-types")]: "off",
      // beside connections there are short lists, as flags and topics; what a reorg took back is named by its event
      [rule("relay-edge-types")]: ["error", { listTypeCanWrapOnlyEdgeType: false, shouldImplementNode: false }],
      // `hardwareLicenseId` is DIMO's name, `_meta` that of The Graph
      [rule("no-typename-prefix")]: "off",
      [rule("naming-convention")]: ["error", naming(configs["flat/schema-recommended"])],
      // @oneOf is GraphQL's own
      [rule("require-description")]: ["error", { types: true, rootField: true }],
    },
  },
  { files: [operations], languageOptions, plugins, rules: configs["flat/operations-recommended"].rules },
  {
    files: [questions],
    languageOptions,
    plugins,
    rules: {
      ...configs["flat/operations-recommended"].rules,
      // they ask for what they compare, and one of them is too deep on purpose
      [rule("require-selections")]: "off",
      [rule("selection-set-depth")]: "off",
    },
  },
];
