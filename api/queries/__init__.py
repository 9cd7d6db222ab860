"""The SELECTs of the API, one module a subject; the package imports neither GraphQL nor HTTP.

How `devices(filterBy:)` becomes SQL:

1. `api/graphql/inputs/filters.py` turns the GraphQL input into a `Filter`, pairs of a field's name and its comparisons.
2. `devices.FIELDS` maps each name to a kind of field on a column. `sql/filters.py` combines the fields' conditions.
3. `devices.DEVICES` is the listing (`sql/listings.py`): its tables, fields and orders. `sql/pages.py` makes the SELECT
   of a page.

To add a filter, add the field to the GraphQL input (`api/graphql/inputs/filters.py`, with a comparison of
`operators.py`) and an entry of the same name to `FIELDS` of the subject (`devices.py`, `events.py`, `licenses.py`,
`authorizations.py`). `sql/fields.py` has the kinds of fields. If no index serves the column, add one in
`schema/tables/indexes.py`; `tests/api/queries` checks the plans.

`sql/` is how a SELECT is made. It knows no subject and imports none of the modules beside it.
"""
