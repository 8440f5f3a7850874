"""What a check found, by stable codes: the mistake, its evidence in numbers, its likely cause, and what to try."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning"]


class Place(NamedTuple):
    """Where something is wrong, for programs: what is known of it, counted from 0.

    Example:
        >>> from minidl.checking.naming.findings import Place
        >>> Place(layer="lstm", quantity="f", row=2, step=1)
        Place(layer='lstm', quantity='f', row=2, step=1)
    """

    layer: str | None = None  # its dotted path, "" for the net itself
    quantity: str | None = None  # a letter of its equations: i f o g c h, dh dz_i ...; y, dx, dy; x of the data
    row: int | None = None
    step: int | None = None
    unit: int | None = None  # a feature, of the data
    parameter: str | None = None
    slot: str | None = None  # of the optimizer
    entry: tuple[int, ...] | None = None  # of the parameter, the slot, or an array of other axes

    def __repr__(self) -> str:
        known = [f"{name}={value!r}" for name, value in self._asdict().items() if value is not None]
        return f"Place({', '.join(known)})"


class Finding(NamedTuple):
    """One thing that is wrong, in words that need no other knowledge; `minidl explain CODE` has a page on each code."""

    code: str
    severity: Severity
    title: str
    where: str
    evidence: str
    cause: str
    remedy: str
    place: Place | None = None

    @property
    def words(self) -> dict[str, str]:
        """All of it but the place, by name."""
        return {name: value for name, value in self._asdict().items() if isinstance(value, str)}


class Code(NamedTuple):
    """What all findings of a code share."""

    title: str
    cause: str
    remedy: str
    severity: Severity = "error"


CODES = {
    "C301": Code(
        "a function changes what it was given, or remembers an earlier call",
        "an array is changed in place (+=, [...] =, an update of the weights inside), or kept between calls (a global, "
        "an attribute, a random generator)",
        "copy before you change (h = h.copy()), and hand everything over by arguments and the cache",
    ),
    "D401": Code(
        "the inputs look like positions, not like tokens",
        "range(len(...)), or the counter of a loop, was fed in place of what stands at those positions",
        "feed the ids of the text: ids = vocab.encode(text), batches = TextStream(ids, batch_size, time)",
    ),
    "D402": Code(
        "the targets are not the inputs shifted by one",
        "x and t were cut from the same place, or moved by another number of steps, or the wrong way",
        "x = ids[:-1] and t = ids[1:], or TextStream(ids, batch_size, time), which does it",
    ),
    "D403": Code(
        "the data cannot be learned from as they are",
        "ids that the net has no row for, missing values, columns that never change, or very different sizes",
        "look at x.min(), x.max(), np.isfinite(x).all() and x.std() of each column; scale: (x - mean) / std, with the "
        "mean and the std of the training data",
    ),
    "D404": Code(
        "rows and carried state do not fit together",
        "start=False says that row b goes on where row b of the window before ended; the data are cut in another way",
        "TextStream(ids, batch_size, time), whose rows go on; or start=True for windows that have nothing to do with "
        "each other",
    ),
    "D405": Code(
        "training and validation data overlap",
        "windows or rows were shuffled before they were split, or the split came after windows that overlap",
        "split first, cut afterwards: train, held_out = split(ids, 0.1)",
        "warning",
    ),
    "F200": Code(
        "the forward pass differs from the textbook's LSTM",
        "another architecture, an array with the role None that takes part in it, or a mistake without a name",
        "compare it with the six equations (minidl/kernels/lstm_reference.py), at T = 1, gate by gate",
        "warning",
    ),
    "F201": Code(
        "h and c are exchanged in the forward pass",
        "two arguments or results of a step stand in the other order than where they are used (or state_order is)",
        "hand them over by name, h=h, c=c, and return them in the order in which they come in; check state_order",
    ),
    "F202": Code(
        "a peephole looks at the wrong cell",
        "the gates are computed before or after c where the other was meant",
        "i and f look at c of the step before, o looks at the new c: compute o after c",
    ),
    "F203": Code(
        "the weights are not shared over time",
        "weights are stored by step, or changed from step to step",
        "use one set of weights at all steps; their gradients add up over the steps, one update follows",
    ),
    "F204": Code(
        "a nonlinearity is missing, doubled, or another one",
        "an activation was forgotten, or applied to what has it already",
        "i, f, o = sigmoid(z), g = tanh(z), h = o tanh(c): each exactly once",
    ),
    "F205": Code(
        "gates are exchanged in the forward pass",
        "the blocks of a packed matrix are cut in another order, names are mixed up, or the roles name another order",
        "compare the order in which the blocks are cut with the one that the roles tell; mend the one that is wrong",
    ),
    "G101": Code(
        "the gradient is wrong",
        "backward is not the derivative of what forward computes: a term, a factor or a path is missing, or is one too "
        "many",
        "check one row first, and of a sequence one step, then two: what is right at one step and wrong at two is on "
        "the path through time",
    ),
    "G102": Code(
        "the gradient is off by a constant factor",
        "a mean where the loss is a sum, the 2 of a square, or a term that is counted twice",
        "look at the lines of these arrays for a mean, a 2 or a 1/2; divide loss and gradients by the same number, or "
        "none",
    ),
    "G103": Code(
        "a matrix is transposed, or axes are exchanged",
        "x W needs dW = x^T dz and dx = dz W^T; with a square matrix the other one has the same shape",
        "write the shapes beside the line; check with sizes that all differ",
    ),
    "G104": Code(
        "no path through time via h",
        "dh of step t+1, which comes back through Wh, is not part of dh of step t",
        "dh = dy[t] + dh_next, and dh_next = dz Wh^T at the end of each step",
    ),
    "G105": Code(
        "no path through time via c",
        "dc of step t+1 is not part of dc of step t",
        "dc = dc_next + dh o (1 - tanh(c)^2), and dc_next = dc f at the end of each step",
    ),
    "G106": Code(
        "peephole terms are missing",
        "the gates look at the cell, so the cell gets a gradient from each gate, and each peephole weight has one",
        "dc += dz_o p_o in the step, dc_next = dc f + dz_i p_i + dz_f p_f; dp_i = c' dz_i, dp_f = c' dz_f, "
        "and with the new c dp_o = c dz_o",
    ),
    "G107": Code(
        "the derivative of an activation is taken on the wrong side",
        "a derivative that is written for z gets the activation a = sigmoid(z), or the reverse",
        "with a = sigmoid(z) the derivative is a (1 - a), with a = tanh(z) it is 1 - a^2",
    ),
    "G108": Code(
        "gates are exchanged in the backward pass",
        "the deltas are put together, or the blocks cut, in another order than in the forward pass",
        "write one constant for the order of the gates and use it in both passes",
    ),
    "G109": Code(
        "an inner or elementwise product stands where an outer product belongs",
        "dot(x, dz) of two vectors is a number, x * dz a vector; the gradient of a matrix is a matrix",
        "dW = np.outer(x, dz), for a batch x.T @ dz",
    ),
    "G110": Code(
        "the gradient does not depend on the error that comes in",
        "the backward pass begins with a constant, or with the output itself, in place of the loss's gradient",
        "begin with dy (for softmax and cross-entropy: p - onehot(target)), and dh_next, dc_next with dstate",
    ),
    "G111": Code(
        "a gradient is overwritten where it should add up",
        "dW = ... in the loop: only the step that ran last is left",
        "set dW to zero before the loop, and write dW += ... in it",
    ),
    "G112": Code(
        "the initial state is forgotten",
        "the loop stops before it, or treats step 0 as if h and c before it were 0",
        "at step 0 use h0 and c0 like any other h' and c', and return dh_next and dc_next as dh0 and dc0",
    ),
    "G113": Code(
        "only one step contributes, or one is left out",
        "the error enters at one step only, or the loop ends too early",
        "let the loop run from T-1 to 0, and add dy[t] at each step",
    ),
    "G114": Code(
        "a gate uses the wrong delta",
        "a factor of the chain rule is missing or belongs to another gate, often by copy and paste",
        "do = dh tanh(c), di = dc g, df = dc c', dg = dc i, each times the derivative of its own activation; each "
        "weight takes the delta of its own gate and the input that it multiplied",
    ),
    "G115": Code(
        "a gradient is carried from one window into the next",
        "dh and dc, which backward returns, were handed to the next window where h and c belong",
        "result = loss_and_grads(net, loss, batch, state), then state = result.state; result.dstate ends there",
    ),
    "L501": Code(
        "the loss at step 0 is far from what an untrained net must have",
        "scores that are large from the start, a loss that is not a mean, an activation that does not belong before "
        "the loss, or targets that are not scaled",
        "start the last layer small and its bias at 0, give the loss the outputs that it expects, scale the targets",
        "warning",
    ),
    "L502": Code(
        "one batch cannot be overfitted",
        "a gradient that is wrong, targets that do not depend on the inputs, parameters that never move, or a net that "
        "is too small for the batch",
        "check the gradients (minidl check), then look at the pairs of x and t by eye, then widen the net",
    ),
    "L503": Code(
        "the loss climbs or swings: the learning rate is too high",
        "each step goes beyond the valley that it was to lead down",
        "a rate well below the largest stable one, Adam(2e-3) in doubt, and ClipNorm(1.0) for single large steps",
    ),
    "L504": Code(
        "the loss is summed over the positions, not averaged",
        "a sum over T steps or B rows makes each gradient, so each step, T or B times as large",
        "divide value and gradient by the number of positions, or the learning rate by it",
    ),
    "L505": Code(
        "the net is no better than counting",
        "it has learned how often each token comes, and nothing of what stands before: no path from the inputs to the "
        "outputs, or none back, or a rate that is too low, or too few steps",
        "overfit one batch; where that works, train for longer, or with a larger rate or a wider net",
        "warning",
    ),
    "N701": Code(
        "a number that is not finite is born in the forward pass",
        "products of large numbers: weights that grew from step to step, or data that are not scaled",
        "scale the data, lower the learning rate, clip the gradients from the first step on (ClipNorm), and begin from "
        "parameters that were saved before",
    ),
    "N702": Code(
        "a number that is not finite is born in the loss or the backward pass",
        "gradients that grow from step to step on their way back, or a division by 0 in a derivative",
        "shorten the windows, lower the learning rate, scale data and targets; clipping comes too late for what is inf "
        "within a pass",
    ),
    "N703": Code(
        "a number that is not finite is born in the update",
        "a gradient or a learning rate that is too large: the step leaves the range of the dtype",
        "clip the gradients before the update (ClipNorm), and lower the learning rate",
    ),
    "T601": Code(
        "gradients explode on their way back through time",
        "recurrent weights stretch the gradient by more than 1 at each step, so over T steps by a power of T",
        "the usual, orthogonal start of Wh where its weights are large; ClipNorm(1.0), a smaller learning rate, or "
        "shorter windows",
        "warning",
    ),
    "T602": Code(
        "gradients vanish on their way back through time",
        "forget gates, or recurrent weights, shrink the gradient by the same share at each step",
        "an LSTM with forget_bias=1.0 or more in place of a SimpleRNN, inputs that do not saturate the gates, and for "
        "lags of hundreds of steps a shorter path (attention, LastStep)",
        "warning",
    ),
    "T603": Code(
        "gates are saturated",
        "their sums before the sigmoid are far from 0, where its slope is almost 0: large weights, inputs that are not "
        "scaled, or a step that was too long",
        "scale the inputs, lower the learning rate, start the weights smaller; what is saturated recovers slowly",
        "warning",
    ),
    "T604": Code(
        "the updates are too large or too small beside the weights",
        "the learning rate does not fit the size of the gradients, of this parameter or of all",
        "change the learning rate by the factor that is missing to 1e-3, for one parameter by lr_factors={...}",
        "warning",
    ),
    "T605": Code(
        "the clipping fires always, or never",
        "the threshold does not fit the gradients of this net and this loss",
        "take a percentile of the norms that were seen: AdaptiveClip(90.0), or its number in ClipNorm",
        "warning",
    ),
    "T606": Code(
        "parameters do not learn",
        "their gradient is 0, or constant: nothing leads from them to the loss, the error does not reach them, or the "
        "optimizer leaves them out",
        "look at p.grad and p.trainable of each; the gradient must change when the targets change",
    ),
    "T607": Code(
        "the curves of training and validation tell of overfitting or underfitting",
        "a net with room to learn the training data by heart, or one that is too small or too little trained",
        "overfitting: more data, Dropout(0.3), AdamW, EarlyStopping(); underfitting: a wider net, a longer training",
        "warning",
    ),
}


def found(code: str, where: str, evidence: str, what: str | None = None, **own: Any) -> Finding:
    """A finding with the words of its code, or its own; `what` says more exactly which mistake it is."""
    words = CODES[code]
    title = words.title if what is None else f"{words.title}: {what}"
    return Finding(code, words.severity, title, where, evidence, words.cause, words.remedy)._replace(**own)


def in_order(findings: list[Finding]) -> list[Finding]:
    """Causes before consequences: contract, data, forward, gradients, loss, numbers, training; otherwise as found."""
    return sorted(findings, key=lambda finding: "CDFGLNT".index(finding.code[0]))
