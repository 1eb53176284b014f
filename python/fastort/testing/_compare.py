"""Two models, or one model on two engines, side by side: their outputs, and where they part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._session import InferenceSession
from ._difference import Difference, compare_values

if TYPE_CHECKING:
    import onnx

    from ..analysis._probe import Feeds, Run


@dataclass
class Comparison:
    """What a comparison of two models found. ``print`` shows it; as a truth value, whether all outputs are close.

    Attributes:
        outputs: The difference of each output.
        first: The first intermediate tensor, in the order of the nodes, at which the models part; ``None`` where the
            outputs are close or no tensor parts.
        made_by: The node that computes it.
        compared: How many intermediate tensors were compared.
        note: Why no tensor is named, where none is though outputs differ.
    """

    outputs: list[Difference]
    first: Difference | None = None
    made_by: str = ""
    compared: int = 0
    note: str = ""
    names: tuple[str, str] = field(default=("a", "b"))

    @property
    def close(self) -> bool:
        """Whether all outputs are within the tolerances."""
        return all(difference.close for difference in self.outputs)

    def __bool__(self) -> bool:
        """Returns whether all outputs are within the tolerances."""
        return self.close

    def check(self) -> None:
        """Does nothing if all outputs are within the tolerances.

        Raises:
            AssertionError: If not; the message is this comparison's text.
        """
        if not self.close:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        """Returns a line for each output, and where the models part."""
        wrong = sum(not difference.close for difference in self.outputs)
        a, b = self.names
        head = f"{a} and {b}: " + (f"{wrong} of {len(self.outputs)} outputs differ" if wrong else "the outputs agree")
        lines = [head, *(f"  {difference}" for difference in self.outputs)]
        if self.first:
            lines += [f"they part first at {self.first}", f"  which is computed by {self.made_by}"]
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)


def compare_models(
    a: Any,
    b: Any,
    feeds: Feeds,
    *,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    intermediates: bool = True,
    run_a: Run | None = None,
    run_b: Run | None = None,
    names: tuple[str, str] = ("a", "b"),
) -> Comparison:
    """Runs two models on the same inputs and says how far their outputs are apart, and where they part.

    Args:
        a: A path, the contents of a file, an ``onnx.ModelProto`` or a session.
        b: What ``a`` is expected to agree with. Outputs are paired by name; where the names differ, by place.
        feeds: A value for each input.
        rtol: The relative tolerance of an output: ``|a - b| <= atol + rtol * |b|`` for each element. An intermediate
            tensor parts where its error exceeds ``atol + rtol * max |b|``.
        atol: The absolute tolerance.
        intermediates: Whether to look for the first tensor that parts where outputs differ. Tensors are paired by
            name.
        run_a: What runs ``a``: called with a model's contents, the names of its outputs and the feeds. fastort by
            default. Contents of a model above 2 GB have an attribute ``folder``, in which the files of its weights lie.
        run_b: What runs ``b``.
        names: What the two are called in the report.

    Returns:
        The comparison; ``check()`` raises an AssertionError where outputs differ.

    Raises:
        ModuleNotFoundError: If the package ``onnx`` is not installed.
        ValueError: If the models have not as many outputs.
    """
    from ..analysis._files import load_to_run, serialize
    from ..analysis._probe import run_on_fastort

    (first, folder_a), (second, folder_b) = (load_to_run(_source(model)) for model in (a, b))
    run_a, run_b = run_a or run_on_fastort, run_b or run_on_fastort
    outputs_a, outputs_b = _pair_outputs(first, second)
    got = run_a(serialize(first, folder_a), outputs_a, feeds)
    want = run_b(serialize(second, folder_b), outputs_b, feeds)
    differences = [compare_values(name, x, y, rtol, atol) for name, x, y in zip(outputs_b, got, want, strict=True)]
    result = Comparison(differences, names=names)
    if not result.close and intermediates:
        _find_parting(result, (first, folder_a), (second, folder_b), feeds, (rtol, atol), (run_a, run_b))
    return result


def _source(model: Any) -> Any:
    if not isinstance(model, InferenceSession):
        return model
    source = model._model_path if model._model_path is not None else model._model_bytes
    if source is None:
        raise ValueError("the session is closed: make another InferenceSession of the model")
    return source


def _pair_outputs(a: onnx.ModelProto, b: onnx.ModelProto) -> tuple[list[str], list[str]]:
    outputs_a = [info.name for info in a.graph.output]
    outputs_b = [info.name for info in b.graph.output]
    if len(outputs_a) != len(outputs_b):
        raise ValueError(f"the models have other outputs: {outputs_a} and {outputs_b}")
    return (outputs_b if set(outputs_a) == set(outputs_b) else outputs_a), outputs_b


def _describe(model: onnx.ModelProto, name: str) -> str:
    for node in model.graph.node:
        if name in node.output:
            called = f" '{node.name}'" if node.name else ""
            return f"{node.op_type}{called} of {', '.join(filter(None, node.input)) or 'nothing'}"
    return "no node"


def _find_parting(
    result: Comparison,
    a: tuple[onnx.ModelProto, str],
    b: tuple[onnx.ModelProto, str],
    feeds: Feeds,
    tolerances: tuple[float, float],
    runs: tuple[Run, Run],
) -> None:
    """Names the first intermediate tensor that differs in a comparison."""
    from ..analysis._files import serialize
    from ..analysis._probe import intermediate_names, intermediate_values

    theirs = set(intermediate_names(b[0]))
    shared = [name for name in intermediate_names(a[0]) if name in theirs]
    result.compared = len(shared)
    if not shared:
        result.note = "the models have no intermediate tensors of the same name to compare"
        return

    def first_of(names: Sequence[str]) -> Difference | None:
        values = [
            intermediate_values(serialize(*model), feeds, names, run) for model, run in zip((a, b), runs, strict=True)
        ]
        for name in names:
            difference = compare_values(name, values[0][name], values[1][name], *tolerances)
            if difference.parts_by_scale(*tolerances):
                return difference
        return None

    found = first_of(shared)
    if found is None:
        # Asked for all at once, nothing is fused. One at a time, what lies before each is fused as in a plain run.
        low, high = 0, len(shared)
        while low < high:
            middle = (low + high) // 2
            difference = first_of([shared[middle]])
            found, low, high = (difference, low, middle) if difference else (found, middle + 1, high)
        if found is not None:
            result.note = "  only where its nodes are fused: with all intermediate tensors kept, none parts"
    if found is None and any(difference.parts_by_scale(*tolerances) for difference in result.outputs):
        result.note = f"all {len(shared)} intermediate tensors agree: the last nodes, which compute the outputs, differ"
    elif found is None:
        result.note = (
            f"no tensor differs by more than {tolerances[0]:g} of its largest value: this looks like rounding "
            "(a larger atol allows it)"
        )
    else:
        result.first, result.made_by = found, _describe(a[0], found.name)
