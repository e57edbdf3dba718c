"""Death, stalls and lost connections at every crash point of the protocol. Source: docs/protocol.md, section 7."""
