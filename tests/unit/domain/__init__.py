"""The rules of the domain, each test named for the rule it states."""
