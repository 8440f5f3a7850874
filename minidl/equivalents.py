"""What other frameworks call things, and what to write here: the words behind every "has no argument ..."."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Collection

ACTIVATION = "Put an activation layer after it, such as Tanh()."
BUILD = "Call net.build(in_shape), without the batch axis: (None, 8). Trainer.fit builds by itself."
CALLBACKS = "Pass callbacks to the Trainer: Trainer(net, loss, optimizer, callbacks=[...])."
CLASS_IDS = "CrossEntropy takes ids; one-hot rows are np.eye(V)[ids]."
CLIPPING = "Put ClipNorm(1.0) or ClipValue(0.5) among the Trainer's callbacks."
DROPOUT = "Put a Dropout(rate) layer before or after it; recurrent_dropout drops h'."
INPUT_SIZE = "The size of the inputs is found when the net is built; the first argument is units."
LAST_AXIS = "It is always the last axis."
MASK = "Give the mask with the batches: PaddedBatches, or Batch(x, t, mask=x != 0)."
OWN_LOSS = "Subclass Loss and write positions(y, t)."
PAD = "Use pad(rows), which returns the array and the mask."
SCHEDULE = "Pass a schedule as lr, Adam(lr=schedule): ExponentialLR, CosineLR, StepLR, or a function of the step."
STATE = "State is not kept on the net: forward_with_state(x, state) takes and returns it."
STATEFUL = "State is carried from batch to batch where Batch(start=False), as TextStream does."
WEIGHTS = "Pass ArrayBatches(x, t, weight=w) to fit, with one weight per row."

ARGUMENTS = {  # by "owner.argument" or by argument
    "activation": ACTIVATION,
    "alpha": "Write decay=.",
    "axis": LAST_AXIS,
    "Bidirectional.backward_layer": "Write backward=, a recurrent layer with go_backwards=True.",
    "baseline": "There is none: stop from a callback of your own, trainer.stop(reason).",
    "batch_first": "Inputs are always batch first, [B, T, D].",
    "batch_input_shape": BUILD,
    "bias_initializer": "Write init={'b': zeros}, by parameter name.",
    "bidirectional": "Wrap it: Bidirectional(LSTM(8, return_sequences=True)).",
    "callbacks": CALLBACKS,
    "class_weight": WEIGHTS,
    "clipnorm": CLIPPING,
    "clipvalue": CLIPPING,
    "cooldown": "There is none: patience counts the epochs between two reductions.",
    "custom_objects": "Write classes=[MyLayer].",
    "Adam.decay": f"{SCHEDULE} Weights are decayed by AdamW(lr, weight_decay=...).",
    "AdamW.decay": "Write weight_decay=.",
    "SGD.decay": f"{SCHEDULE} Weights are decayed by weight_decay=.",
    "dim": LAST_AXIS,
    "dropout": DROPOUT,
    "embedding_dim": "Write units=.",
    "epoch": "Write epochs=.",
    "eps": "Write epsilon=.",
    "filters": "Write units=.",
    "CrossEntropy.from_logits": "Use SoftmaxCrossEntropy, which takes scores.",
    "global_clipnorm": CLIPPING,
    "hidden_size": INPUT_SIZE,
    "implementation": "There is one.",
    "in_features": INPUT_SIZE,
    "initial_epoch": "Another call of fit continues after the last epoch; after a crash write resume=True.",
    "Embedding.input_dim": "Write vocab=.",
    "input_dim": "The size of the inputs is found when the net is built.",
    "input_length": "The length is found when the net runs: None in in_shape.",
    "input_shape": BUILD,
    "input_size": INPUT_SIZE,
    "Conv1D.kernel_initializer": "Write init={'W': glorot_uniform}, by parameter name.",
    "Dense.kernel_initializer": "Write init={'W': glorot_uniform}, by parameter name.",
    "kernel_initializer": "Write init={'Wx': glorot_uniform}, by parameter name.",
    "kernel_regularizer": "There is none for a single layer; AdamW(lr, weight_decay=...) decays the weights.",
    "kernel_size": "Write width=.",
    "label_smoothing": "Give soft targets: (1 - s) * np.eye(V)[ids] + s / V.",
    "learning_rate": "Write lr=.",
    "loss": "Pass the loss to the Trainer: Trainer(net, loss, optimizer).",
    "mask_zero": MASK,
    "maxlen": "Cut the rows first: [row[:maxlen] for row in rows].",
    "Bidirectional.merge_mode": "Write merge=Concatenate(), Add() or Multiply(), a layer.",
    "metrics": "Pass metrics to the Trainer: Trainer(net, loss, metrics=[accuracy]).",
    "min_lr": "Write min_scale=, a share of the rate at the beginning: min_lr / lr.",
    "mode": "The direction is read from the metric; for one of your own pass higher_is_better=True or False.",
    "model": "Write net=.",
    "monitor": "Write figure=, a key of the epoch's row such as 'valid_loss'.",
    "num_embeddings": "Write vocab=.",
    "num_layers": "Stack layers: Sequential([LSTM(8, return_sequences=True), LSTM(8)]).",
    "optimizer": "Pass the optimizer to the Trainer: Trainer(net, loss, optimizer).",
    "out_features": "Write units=.",
    "output_dim": "Write units=.",
    "p": "Write rate=.",
    "Conv1D.padding": "",
    "padding": "Rows are padded at the end; the mask says which steps are real.",
    "padding_idx": MASK,
    "recurrent_initializer": "Write init={'Wh': orthogonal}, by parameter name.",
    "restore_best_weights": "Write restore_best=.",
    "return_state": "net.forward_with_state(x) returns (y, state, cache).",
    "rho": "Write decay=.",
    "evaluate.sample_weight": "Pass ArrayBatches(x, t, weight=w) to evaluate, with one weight per row.",
    "sample_weight": WEIGHTS,
    "save_best_only": "SaveBest always keeps the best epoch; Checkpoint(best='valid_loss') keeps it beside the newest.",
    "save_weights_only": "A file holds architecture and parameters; load_weights takes the parameters alone.",
    "stateful": STATEFUL,
    "step_size": "Write every=.",
    "steps_per_epoch": "fit(batches, steps=N) ends after N updates; an epoch is one pass over the batches.",
    "training": "Dropout is active where an rng is given: net.forward(x, rng=np.random.default_rng(0)).",
    "truncating": "Cut the rows first.",
    "unit_forget_bias": "It is the default; forget_bias= sets another number.",
    "Conv1D.use_bias": "Write bias=.",
    "Dense.use_bias": "Write bias=.",
    "use_bias": "The bias is always there in recurrent layers.",
    "validation_data": "Write validation=(x, t), or batches.",
    "validation_steps": "Pass the batches to validate with: validation=[...].",
    "predict.verbose": "There is nothing to print.",
    "verbose": "Pass quiet=True to the Trainer for no console.",
    "weight_decay": "Use AdamW(lr, weight_decay=...).",
}

ATTRIBUTES = {  # by class and attribute; subclasses share those of their bases
    "History": {
        "epoch": "It is history['epoch'].",
        "history": "The values of one metric are history['loss'], those of one epoch history.rows[-1].",
    },
    "Layer": {
        "append": "Write net.add(layer).",
        "apply": "Call net.predict(x), or net.forward(x) for the cache.",
        "children": "Write net.layers.values().",
        "clone": "Write net.copy().",
        "compile": "There is nothing to compile: Trainer(net, CrossEntropy(), Adam(2e-3)).fit(x, t).",
        "count_params": "Write sum(p.value.size for p in net.params.values()), or net.summary().",
        "cpu": "Everything runs on the CPU.",
        "cuda": "Everything runs on the CPU.",
        "double": "Write net.copy(np.float64).",
        "eval": "net.predict(x) runs without dropout; a pass trains only where it gets an rng.",
        "evaluate": "Write Trainer(net, loss).evaluate(x, t).",
        "fit": "Write Trainer(net, CrossEntropy(), Adam(2e-3)).fit(x, t).",
        "float": "Write net.copy(np.float32).",
        "get_config": "Write layer.config(); net.save(path) writes all of a net.",
        "get_layer": "Write net['name'] or net[0].",
        "get_weights": "Write {name: p.value for name, p in net.params.items()}.",
        "input_shape": "It is called in_shape, without the batch axis.",
        "load": "Write minidl.load(path) for a net, net.load_weights(path) for its parameters.",
        "load_state_dict": "Write net.load_weights(path), or net.params[name].value[...] = array.",
        "modules": "Write net.layers.values().",
        "named_parameters": "Write net.params.items().",
        "output_shape": "It is called out_shape, without the batch axis.",
        "parameters": "An optimizer is made without them, Adam(1e-3). They are net.params, a mapping by dotted name.",
        "pop": "Make a net of the first layers: net[:-1].",
        "predict_on_batch": "Write net.predict(x).",
        "predict_proba": "net.predict(x) returns the outputs of the last layer; end the net with Softmax().",
        "requires_grad_": "Write net.freeze() or net.unfreeze().",
        "reset_state": STATE,
        "reset_states": STATE,
        "save_weights": "net.save(path) writes architecture and parameters; load_weights(path) reads the parameters.",
        "set_weights": "Write net.params[name].value[...] = array for each name.",
        "state_dict": "Write {name: p.value for name, p in net.params.items()}.",
        "to": "Everything runs on the CPU; another dtype is net.copy(np.float64).",
        "to_json": "Write net.save(path).",
        "train": "A pass trains where it gets an rng; the Trainer sees to that.",
        "train_on_batch": "Write Trainer(net, loss, optimizer).fit([Batch(x, t)], epochs=1).",
        "trainable_weights": "Write [p for p in net.params.values() if p.trainable].",
        "weights": "It is called params, a mapping by dotted name.",
        "zero_grad": "It is called zero_grads.",
    },
    "Loss": {
        "backward": "loss(y, t) returns (value, dy, weight); hand dy to net.backward(dy, cache).",
    },
    "Optimizer": {
        "learning_rate": "Use lr.",
        "minimize": "Write optimizer.step(net.params), after net.backward.",
        "param_groups": "Write lr_factors={'encoder.*': 0.1} when you make it.",
        "zero_grad": "Write net.zero_grads().",
    },
    "Trainer": {
        "compile": "There is nothing to compile: loss and optimizer are the Trainer's arguments.",
        "model": "It is called net.",
        "predict": "Write trainer.net.predict(x).",
        "predict_classes": "Write trainer.net.predict(x).argmax(axis=-1).",
        "predict_proba": "Write trainer.net.predict(x), of a net that ends in Softmax().",
        "save": "Write trainer.net.save(path).",
        "score": "Write trainer.evaluate(x, t), which returns a dict of the loss and the metrics.",
        "stop_training": "Write trainer.stop(reason).",
        "summary": "Write trainer.net.summary().",
        "train": "Write trainer.fit(x, t).",
    },
}

NAMES = {  # of the package
    "Accuracy": "Use the function accuracy: Trainer(net, loss, metrics=[accuracy]).",
    "Activation": "Use the activation layers Tanh(), ReLU(), Sigmoid(), Softmax().",
    "BatchNorm1d": "Use LayerNorm, which does not couple the rows of a batch.",
    "BatchNormalization": "Use LayerNorm, which does not couple the rows of a batch.",
    "BCELoss": "Use BinaryCrossEntropy.",
    "BCEWithLogitsLoss": "Use BinaryCrossEntropy(from_logits=True).",
    "BinaryCrossentropy": "Use BinaryCrossEntropy.",
    "CategoricalCrossentropy": "Use CrossEntropy on a net that ends in Softmax, or SoftmaxCrossEntropy on scores.",
    "clip_grad_norm_": "Put ClipNorm(1.0) among the Trainer's callbacks, or use clip_norm(net.params, 1.0).",
    "Conv1d": "Use Conv1D(units, width).",
    "cross_entropy": "Use CrossEntropy on a net that ends in Softmax, or SoftmaxCrossEntropy on scores.",
    "CrossEntropyLoss": "Use SoftmaxCrossEntropy, which takes scores.",
    "CSVLogger": "Use CSVLog(path).",
    "DataLoader": "Use ArrayBatches(x, t), PaddedBatches or TextStream; a list of Batch will do.",
    "GlobalAveragePooling1D": "Use PoolTime().",
    "GlobalMaxPooling1D": "Use PoolTime(kind='max').",
    "Huber": OWN_LOSS,
    "HuberLoss": OWN_LOSS,
    "Input": "A Sequential has none; Graph(inputs=('a', 'b')) names several.",
    "L1Loss": OWN_LOSS,
    "Lambda": "Subclass Layer and write forward and backward.",
    "LambdaCallback": "Subclass Callback.",
    "LayerNormalization": "Use LayerNorm.",
    "LearningRateScheduler": SCHEDULE,
    "Linear": "Use Dense(units): the size of the inputs is found when the net is built.",
    "load_model": "Use load.",
    "LSTMCell": "Use LSTM; forward_with_state(x, state) takes one step where x has one.",
    "MAE": OWN_LOSS,
    "manual_seed": "Pass seed= to Trainer or build.",
    "Masking": "Masks come with the batches: PaddedBatches, or Batch(x, t, mask=mask).",
    "Model": "Use Sequential or Graph.",
    "ModelCheckpoint": "Use SaveBest(path) for the best net, Checkpoint(folder) to resume.",
    "Module": "Subclass Layer.",
    "MSE": "Use MeanSquaredError.",
    "MSELoss": "Use MeanSquaredError.",
    "MultiHeadAttention": "Use Attention or AdditiveAttention in a Graph.",
    "NLLLoss": "Use CrossEntropy on a net that ends in LogSoftmax.",
    "nn": "The layers are in minidl itself: minidl.LSTM, minidl.Dense.",
    "no_grad": "net.predict(x) keeps nothing for backward.",
    "one_hot": CLASS_IDS,
    "OneHotEncoder": CLASS_IDS,
    "optim": "The optimizers are in minidl itself: minidl.Adam, minidl.SGD.",
    "pack_padded_sequence": "Use pad(rows), which returns the array and the mask, or PaddedBatches.",
    "pad_sequences": PAD,
    "plot_model": "Write print(net.summary()).",
    "preprocessing": "Use pad(rows), CharVocab or WordVocab.",
    "RMSprop": "Use RMSProp.",
    "RNN": "Use SimpleRNN, GRU or LSTM.",
    "save": "Write net.save(path).",
    "save_model": "Write net.save(path).",
    "set_random_seed": "Pass seed= to Trainer or build.",
    "SmoothL1Loss": OWN_LOSS,
    "SparseCategoricalCrossentropy": "Use CrossEntropy on a net that ends in Softmax, SoftmaxCrossEntropy on scores; "
    "targets are ids.",
    "SpatialDropout1D": "Use Dropout.",
    "StandardScaler": "Use Scaler.",
    "StepDecay": "Use StepLR.",
    "tensor": "Use NumPy arrays.",
    "TensorBoard": "Use CSVLog or JSONLog.",
    "TensorDataset": "Use ArrayBatches(x, t).",
    "TerminateOnNaN": "Use NanGuard.",
    "TextVectorization": "Use CharVocab or WordVocab.",
    "TimeDistributed": "Dense, Embedding and activations work on every step already.",
    "TimeseriesGenerator": "Use SeriesWindows.",
    "to_categorical": CLASS_IDS,
    "Tokenizer": "Use CharVocab or WordVocab.",
    "train_test_split": "Use split_rows(x, t), or split for a series or a text.",
    "utils": "One-hot rows are np.eye(V)[ids]; pad(rows) pads.",
}

SURPLUS = {  # by the last argument that goes by position: what to write where there are more
    "layers": "Put the layers into a list: {owner}([...])",
    "units": "The size of the inputs is found when the net is built: write {owner}({last!r})",
}


def argument_hint(owner: str, name: str, known: Collection[str]) -> str:
    """Return what to write for an argument that does not exist: the equivalent, a similar name, or all names."""
    hint = ARGUMENTS.get(f"{owner}.{name}", ARGUMENTS.get(name, ""))
    if hint and not any(f"{other}=" in hint and other not in known for other in words_of(hint)):
        return hint
    close = difflib.get_close_matches(name, known, 1)
    return f"Did you mean {close[0]}?" if close else f"It has {', '.join(known) or 'no arguments'}."


def surplus_hint(owner: str, takes: list[str], last: object) -> str:
    """Return what to write where more values are passed by position than a call takes; "" where nothing is known."""
    return SURPLUS.get(takes[-1] if takes else "", "").format(owner=owner, last=last)


def missing_attribute(owner: type, name: str) -> str:
    """Return the message for an attribute that objects of a public class do not have, with what to write."""
    hints = (ATTRIBUTES.get(cls.__name__, {}).get(name) for cls in owner.__mro__)
    hint = next((f". {hint}" for hint in hints if hint), "")
    return f"{owner.__name__!r} object has no attribute {name!r}{hint}"


def missing_name(module: str, name: str) -> Exception:
    """Return the error for a name that a module does not have, with what to use.

    `from minidl import X` asks with hasattr first and drops what an AttributeError says, so it gets an ImportError.
    """
    hint = f". {NAMES[name]}" if name in NAMES else ""
    imported = sys._getframe(2).f_code.co_name == "_handle_fromlist"  # of importlib
    return (ImportError if imported and hint else AttributeError)(f"module {module!r} has no attribute {name!r}{hint}")


def words_of(hint: str) -> list[str]:
    """Return the argument that a hint of the form "Write lr=" names."""
    return re.findall(r"^Write (\w+)=", hint)
