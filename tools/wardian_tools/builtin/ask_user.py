"""`ask_user`: a question to the person whose run it is."""

from wardian_tools.types import Integrity, Output, Question, ResultStatus, ToolContext

MAX_CHOICES = 9
MAX_QUESTION_CHARS = 2_000
NOBODY = (
    "Nobody can be asked in this run. Decide by yourself, and say in your answer what you assumed."
)


async def ask_user(context: ToolContext, question: str, choices: list[str] | None = None) -> Output:
    """Ask the user a question and return the answer. Only for what you cannot find out or decide.

    Args:
        question: One question, with what the user needs to know to answer it.
        choices: Answers to choose from; the user may still write another one.
    """
    offered = tuple(choices or ())
    if len(offered) > MAX_CHOICES or len(question) > MAX_QUESTION_CHARS:
        limits = f"at most {MAX_CHOICES} choices and {MAX_QUESTION_CHARS} characters"
        return Output(content=f"A question has {limits}.", status=ResultStatus.ERROR)
    if context.ask is None:
        return Output(
            content=NOBODY,
            status=ResultStatus.ERROR,
            integrity=Integrity.TRUSTED,
            data={"code": "nobody"},
        )
    answer = await context.ask(Question(text=question, choices=offered))
    if answer is None:
        return Output(content="The user did not answer.", integrity=Integrity.TRUSTED)
    return Output(content=answer, integrity=Integrity.TRUSTED, data={"answered": True})
