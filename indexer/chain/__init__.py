"""What nodes say, checked before anyone believes it: headers, logs, heads."""
