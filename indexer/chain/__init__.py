"""Headers, logs and heads from providers, checked before they are used."""
