"""Other OpenAI clients and servers, run against the sandbox and the plugin."""
