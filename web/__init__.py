"""The pages that gateways serve: plain files, no build step."""
