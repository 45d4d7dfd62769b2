"""Why the proxy does not do what it was asked."""


class Refused(Exception):
    """Ends a connection. The sentence is told to the guest, so it holds nothing it did not know.

    `status` is the HTTP status it is told with; 502 and 504 are failures and not denials.
    """

    def __init__(self, code: str, sentence: str, status: int = 403) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.status = status

    @property
    def is_failure(self) -> bool:
        return self.status in (502, 504)


def malformed(sentence: str, status: int = 400) -> Refused:
    """The request is not what a well-behaved client sends."""
    return Refused("malformed", sentence, status)
