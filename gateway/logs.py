import logging


class LineFormatter(logging.Formatter):
    def __init__(self, style_name: str) -> None:
        super().__init__()
