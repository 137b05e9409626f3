"""How scripts/regenerate turns the vendored document into generated_client/."""
