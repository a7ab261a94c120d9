//! The JSON Schema of a tool's arguments.
