"""`python -m jaxmlp` is `jaxmlp`."""

from jaxmlp.cli.main import main

if __name__ == "__main__":
    main()
