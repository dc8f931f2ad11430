"""Graph: an ONNX graph that is written node by node."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["OPSET", "Graph"]

# Old enough for runtimes of some years ago; what is written needs no later one.
OPSET, IR_VERSION = 17, 8

FLOAT, INT = np.float32, np.int64


#: Writes one step of a loop: what is carried on, and what is made.
Step: TypeAlias = Callable[["Graph", list[str], list[str]], tuple[list[str], list[str]]]


class Graph:
    """Nodes and constants of a graph, in the order of their computation."""

    def __init__(self, numbers: Iterator[int] | None = None) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._to_tensor = helper, numpy_helper.from_array
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        # The bodies of loops share the numbers: a name must not occur twice.
        self._numbers = itertools.count(1) if numbers is None else numbers

    def constant(self, value: Any, dtype: Any = FLOAT) -> str:
        """Add a constant and name it."""
        name = self._new("c")
        self.constants.append(self._to_tensor(np.asarray(value, dtype=dtype), name))
        return name

    def integers(self, *values: int) -> str:
        """Add a vector of whole numbers."""
        return self.constant(values, INT)

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and name that."""
        name = attributes.pop("output", None) or self._new(op.lower())
        self.nodes.append(self._helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def scan(self, step: Step, starts: list[str], inputs: list[str]) -> list[str]:
        """Add a loop over the first axis of its inputs, all of floats.

        Parameters
        ----------
        step : callable
            Called with the graph of the body, the names of what is carried and of one step of the
            inputs. It writes the body and names what is carried on, and what is made of the step.

        starts : list of str
            What is carried, before the first step.

        inputs : list of str
            What the loop runs over.

        Returns
        -------
        made : list of str
            What was made of all steps.
        """
        body = Graph(self._numbers)
        carried, here = [body._new("h") for _ in starts], [body._new("x") for _ in inputs]
        later, made = step(body, carried, here)
        # An output of a body has a name of its own.
        made = [body.add("Identity", one) for one in made]
        kind = self._helper.np_dtype_to_tensor_dtype(np.dtype(FLOAT))

        def values(names: list[str]) -> list[Any]:
            return [self._helper.make_tensor_value_info(name, kind, None) for name in names]

        inside = self._helper.make_graph(
            body.nodes,
            "step",
            values([*carried, *here]),
            values([*later, *made]),
            body.constants,
        )
        after, all_made = [self._new("after") for _ in starts], [self._new("scan") for _ in made]
        options: dict[str, Any] = {"body": inside, "num_scan_inputs": len(inputs)}
        node = self._helper.make_node("Scan", [*starts, *inputs], [*after, *all_made], **options)
        self.nodes.append(node)
        return all_made

    def zeros(self, n_rows: str, size: int) -> str:
        """Add zeros of shape (n_rows, size)."""
        shape = self.joined([n_rows, self.integers(size)], axis=0)
        return self.add("Expand", self.constant(0.0), shape)

    def linear(self, x: str, weight: NDArray[Any], bias: NDArray[Any] | None = None) -> str:
        """Add a linear map; `weight` has a row per output, as in torch."""
        product = self.add("MatMul", x, self.constant(weight.T))
        return product if bias is None else self.add("Add", product, self.constant(bias))

    def cast(self, x: str, dtype: Any) -> str:
        """Add a conversion to another type."""
        return self.add("Cast", x, to=self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def axis_added(self, x: str, axis: int) -> str:
        """Add an axis of length 1."""
        return self.add("Unsqueeze", x, self.integers(axis))

    def sum(self, x: str, axis: int) -> str:
        """Add a sum over an axis."""
        return self.add("ReduceSum", x, self.integers(axis), keepdims=0)

    def part(self, x: str, start: int, stop: int) -> str:
        """Add a slice of the last axis."""
        edges = self.integers(start), self.integers(stop), self.integers(-1)
        return self.add("Slice", x, *edges)

    def joined(self, parts: list[str], axis: int = -1) -> str:
        """Add a concatenation."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=axis)

    def model(self, inputs: list[Any], outputs: list[Any], metadata: dict[str, str]) -> Any:
        """Make the model, and check it."""
        import onnx

        graph = self._helper.make_graph(self.nodes, "skrnn", inputs, outputs, self.constants)
        model = self._helper.make_model(
            graph,
            opset_imports=[self._helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="skrnn",
        )
        self._helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _new(self, stem: str) -> str:
        return f"{stem}_{next(self._numbers)}"
