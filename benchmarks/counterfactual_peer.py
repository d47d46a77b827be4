"""The peer's side of counterfactual.py: runs in the peer's own environment, reads and writes npz.

    PEER_ENVIRONMENT/bin/python benchmarks/counterfactual_peer.py TASK.npz ANSWER.npz

A task holds the layers `weight0, bias0, …` of a network with one logit, the rows `x0`,
`prototypes`, `lower`, `upper`, and the settings `c, beta, theta, p, lr, steps, rounds`. The answer
holds, for each row, the processor's `seconds` of `explain` and of a second call, whether anything
was `found`, and `changed`.
"""

# neither library lives in the environment that checks this file
# mypy: disable-error-code="import-not-found,import-untyped"

import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf
from alibi.explainers import CounterfactualProto
from numpy import ndarray


def main() -> None:
    """Explain every row of a task with an explainer of its own."""
    logging.disable(logging.WARNING)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.compat.v1.disable_v2_behavior()
    with np.load(sys.argv[1]) as opened:
        task = dict(opened)
    answers = [_explain(task, row) for row in range(len(task["x0"]))]
    first, again, changed = zip(*answers, strict=True)
    np.savez(
        sys.argv[2],
        seconds=first,
        seconds_again=again,
        found=[row is not None for row in changed],
        changed=[x0 if row is None else row for x0, row in zip(task["x0"], changed, strict=True)],
    )


def _explain(task: Mapping[str, ndarray], row: int) -> tuple[float, float, ndarray | None]:
    tf.compat.v1.keras.backend.clear_session()  # an explainer's graph slows down all later ones
    explainer = _explainer(task, row)
    first, changed = _timed(explainer, task["x0"][row : row + 1])
    again, _ = _timed(explainer, task["x0"][row : row + 1])
    return first, again, changed


def _timed(explainer: Any, x0: ndarray) -> tuple[float, ndarray | None]:  # noqa: ANN401  # no types
    start = time.process_time()
    explanation = explainer.explain(x0, Y=np.array([[1.0, 0.0]]), k=1)
    seconds = time.process_time() - start
    return seconds, None if explanation.cf is None else explanation.cf["X"][0]


def _explainer(task: Mapping[str, ndarray], row: int) -> Any:  # noqa: ANN401  # has no types
    x0, prototype = task["x0"][row : row + 1], task["prototypes"][row : row + 1]
    explainer = CounterfactualProto(
        _model(task),
        shape=x0.shape,
        kappa=float(2 * task["p"] - 1),  # f above 1 - f by this much: f above p
        beta=float(task["beta"]),
        theta=float(task["theta"]),
        feature_range=(task["lower"][row : row + 1], task["upper"][row : row + 1]),
        use_kdtree=True,
        c_init=float(task["c"] / 2),  # its attack loss is 2·max(p - f, 0)
        c_steps=int(task["rounds"]),
        max_iterations=int(task["steps"]),
        learning_rate_init=float(task["lr"]),
        clip=(-1000.0, 1000.0),
    )
    # one candidate of each class, so that the prototype is the one given
    return explainer.fit(np.concatenate([x0, prototype]))


def _model(task: Mapping[str, ndarray]) -> Any:  # noqa: ANN401  # as above
    """Rebuild the network with two classes: softmax of (0, logit)."""
    layers = sorted(name for name in task if name.startswith("weight"))
    weights = [task[name].T for name in layers]
    biases = [task[name.replace("weight", "bias")] for name in layers]
    weights[-1] = np.concatenate([np.zeros_like(weights[-1]), weights[-1]], axis=1)
    biases[-1] = np.concatenate([np.zeros_like(biases[-1]), biases[-1]])
    inside = ["relu"] * (len(layers) - 1)
    model = tf.keras.Sequential(
        [tf.keras.Input(shape=(len(weights[0]),))]
        + [
            tf.keras.layers.Dense(len(bias), activation=activation)
            for bias, activation in zip(biases, [*inside, "softmax"], strict=True)
        ]
    )
    model.set_weights([array for pair in zip(weights, biases, strict=True) for array in pair])
    return model


if __name__ == "__main__":
    main()
