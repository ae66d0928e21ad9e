"""Sends each answer to the task that asked: direct streams, and tasks that `emit` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heronshim.api import Context, Tuple


class ByLength(CustomGrouping):
    """Texts of up to `limit` characters go to the first task, longer ones to the last."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def prepare(
        self, context: Context | None, component: str, stream: str, tasks: Sequence[int]
    ) -> None:
        """Keep the consumer's tasks."""
        self.tasks = tasks

    def choose_tasks(self, values: Sequence[Any]) -> Sequence[int]:
        """Choose one of two."""
        return [self.tasks[0] if len(values[0]) <= self.limit else self.tasks[-1]]


class Questions(Spout):
    """Emits each question once."""

    outputs = ["question"]

    def __init__(self, questions: list[str]) -> None:
        self.questions = questions[::-1]

    def next_tuple(self) -> None:
        """Emit one question; the question is its own message id."""
        if self.questions:
            question = self.questions.pop()
            self.emit([question], id=question)


class Clerk(Bolt):
    """Passes questions on, and keeps the answers to its own."""

    outputs = ["asker", "question"]

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        """Remember who we are."""
        self.task = context.task_id
        self.answers: dict[str, str] = {}

    def execute(self, tup: Tuple) -> None:
        """Pass a question on, or keep an answer."""
        if tup.component == "expert":
            self.answers[tup["question"]] = tup["answer"]
        else:
            self.emit([self.task, tup["question"]])


class Expert(Bolt):
    """Answers the task that asked."""

    outputs = {"default": Stream(["question", "answer"], direct=True)}

    def execute(self, tup: Tuple) -> None:
        """Emit to one task."""
        self.emit_direct(tup["asker"], [tup["question"], tup["question"].upper()])


class DirectReplies(Topology):
    """A cycle of two bolts: questions one way, answers the other."""

    questions = Questions.spec(questions=["why?", "how much is it?", "who?"])
    clerk = Clerk.spec(
        inputs={questions: Grouping.custom(ByLength, limit=5), "expert": Grouping.direct()},
        parallelism=2,
    )
    expert = Expert.spec(inputs=[clerk])
