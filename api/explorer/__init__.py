"""The explorer: pages about the register for people, rendered from the answers to GraphQL documents.

A page is a folder of `pages/`: a document, a template, and what turns a URL into variables. `components/` are the parts
that pages share, `layout/` is what surrounds every page. docs/contributing/add-a-page.md explains how to add one.
"""
