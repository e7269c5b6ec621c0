"""All compiled code; it knows numbers and addresses, no geometry."""
