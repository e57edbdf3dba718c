"""The tests: unit, contract, integration, crash, and the fixtures and fakes they share."""
