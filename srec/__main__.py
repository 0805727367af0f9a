"""``python -m srec``."""

from srec.cli import main

main()
