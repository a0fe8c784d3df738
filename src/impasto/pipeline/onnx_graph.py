"""A small writer of ONNX graphs, node by node. A tensor in a graph is its name.

Graphs are not traced from PyTorch: with sizes that are known only when the graph runs, and one
half of a network that runs only at need, the exporter of PyTorch 2.13 took minutes where this
takes a second, and needed the networks written anew as well.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from impasto.core.errors import MissingExtraError

OPSET = 18
"""Of the operators: ONNX Runtime reads it from 1.14 (2023) on."""
IR_VERSION = 8
"""Of the file: the oldest that goes with the operators."""

NodeInput = str | float | Sequence[int] | Tensor
"""Of a node: a tensor of the graph, or a constant: a float (float32), integers (int64), weights."""


def import_package(name: str) -> Any:
    """A package of the extra ``export``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            'Exporting needs an extra; run: pip install "impasto[export]"'
        ) from error


class OnnxGraph:
    """A graph to which nodes are added: ``y = graph("Relu", x)``."""

    def __init__(self) -> None:
        self.onnx = import_package("onnx")
        self.nodes: list[Any] = []
        self.constants: dict[Any, Any] = {}
        self._node_counter = itertools.count()

    def __call__(self, op: str, *inputs: NodeInput, **attributes: Any) -> str:
        """Add a node with one output, and return that."""
        (output,) = self.add_node(op, 1, *inputs, **attributes)
        return output

    def add_node(
        self, op: str, num_outputs: int, *inputs: NodeInput, **attributes: Any
    ) -> list[str]:
        """Add a node with ``count`` outputs, and return them."""
        number = next(self._node_counter)
        name = f"{op}_{number}"
        outputs = [name if num_outputs == 1 else f"{name}.{i}" for i in range(num_outputs)]
        named = [each if isinstance(each, str) else self._add_constant(each) for each in inputs]
        make = self.onnx.helper.make_node
        self.nodes.append(make(op, named, outputs, name=name, **attributes))
        return outputs

    def alias(self, tensor: str, name: str) -> None:
        """Give a tensor a name that is meant for people."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [tensor], [name], name=name))

    def if_else(
        self, condition: str, build_then: Callable[[], str], build_else: Callable[[], str]
    ) -> str:
        """What ``yes`` adds to the graph, or ``no``: only one of the two is computed."""
        branches = {
            "then_branch": self._build_branch(build_then),
            "else_branch": self._build_branch(build_else),
        }
        return self("If", condition, **branches)

    def build_model(
        self, inputs: Sequence[Any], output: Any, producer: str, metadata: Mapping[str, str]
    ) -> Any:
        """The whole as a checked ModelProto.

        Args:
            inputs: from :meth:`info`.
            output: likewise: a tensor of that name is given back.
            producer: name and version of the program, with a space between.
            metadata: key-value pairs of the file.
        """
        helper = self.onnx.helper
        graph = helper.make_graph(
            self.nodes, "impasto", list(inputs), [output], [*self.constants.values()]
        )
        name, _, version = producer.partition(" ")
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name=name,
            producer_version=version,
        )
        helper.set_model_props(model, dict(metadata))
        self.onnx.checker.check_model(model, full_check=True)
        return model

    def value_info(self, name: str, shape: Sequence[int | str], doc: str) -> Any:
        """An input or output: float32 of a shape in which a word is a size known later."""
        kind = self.onnx.TensorProto.FLOAT
        return self.onnx.helper.make_tensor_value_info(name, kind, shape, doc)

    def _build_branch(self, build: Callable[[], str]) -> Any:
        outside, self.nodes = self.nodes, []
        output = build()
        nodes, self.nodes = self.nodes, outside
        info = self.onnx.helper.make_tensor_value_info(output, self.onnx.TensorProto.FLOAT, None)
        return self.onnx.helper.make_graph(nodes, output, [], [info])

    def _add_constant(self, value: float | Sequence[int] | Tensor) -> str:
        """The name of a constant; of equal ones there is one."""
        if isinstance(value, Tensor):
            array = value.detach().float().contiguous().cpu().numpy()
        else:
            array = np.asarray(value, np.float32 if isinstance(value, float) else np.int64)
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self.constants:
            name = f"constant_{len(self.constants)}"
            self.constants[key] = self.onnx.numpy_helper.from_array(array, name)
        return str(self.constants[key].name)
