"""``python -m qdsizer_stream``: the command ``qdsizer-stream`` where it is not on the path."""

from .cli import main

if __name__ == "__main__":
    main()
