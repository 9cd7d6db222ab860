"""The explorer's front end: its sources, their build, and the declarations that its check takes from the code."""
