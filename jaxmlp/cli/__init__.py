"""The commands: `jaxmlp train | evaluate | predict | info | verify | diagnose`."""
