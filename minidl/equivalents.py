"""What other frameworks call things, and what to write here: the words behind every "has no argument ..."."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Collection

ACTIVATION = "Put an activation layer after it, such as Tanh()."
CALLBACKS = "Pass callbacks to the Trainer: Trainer(net, loss, optimizer, callbacks=[...])."
CLIPPING = "Put ClipNorm(1.0) or ClipValue(0.5) among the Trainer's callbacks."
DROPOUT = "Put a Dropout(rate) layer before or after it; recurrent_dropout drops h'."
STATEFUL = "State is carried from batch to batch where Batch(start=False), as TextStream does."
WEIGHTS = "Pass ArrayBatches(x, t, weight=w) to fit, with one weight per row."

ARGUMENTS = {  # by "owner.argument" or by argument
    "activation": ACTIVATION,
    "Dense.activation": ACTIVATION,
    "batch_first": "Inputs are always batch first, [B, T, D].",
    "bidirectional": "Wrap it: Bidirectional(LSTM(8, return_sequences=True)).",
    "callbacks": CALLBACKS,
    "class_weight": WEIGHTS,
    "clipnorm": CLIPPING,
    "clipvalue": CLIPPING,
    "custom_objects": "Write classes=[MyLayer].",
    "dropout": DROPOUT,
    "eps": "Write epsilon=.",
    "epoch": "Write epochs=.",
    "hidden_size": "The first argument is units. The size of the inputs is found when the net is built.",
    "in_features": "The size of the inputs is found when the net is built; the first argument is units.",
    "initial_epoch": "Another call of fit continues after the last epoch; after a crash write resume=True.",
    "Embedding.input_dim": "Write vocab=.",
    "Dense.use_bias": "Write bias=.",
    "Conv1D.use_bias": "Write bias=.",
    "input_dim": "The size of the inputs is found when the net is built.",
    "input_shape": "Call net.build(in_shape), without the batch axis: (None, 8). Trainer.fit builds by itself.",
    "input_size": "The size of the inputs is found when the net is built; the first argument is units.",
    "baseline": "There is none: stop from a callback of your own, trainer.stop(reason).",
    "Adam.decay": "Pass a schedule as lr: ExponentialLR, CosineLR, StepLR, or a function of the step. For decaying "
    "weights use AdamW(lr, weight_decay=...).",
    "AdamW.decay": "Write weight_decay=.",
    "SGD.decay": "Pass a schedule as lr: ExponentialLR, CosineLR, StepLR, or a function of the step. Decaying weights "
    "are weight_decay=.",
    "alpha": "Write decay=.",
    "batch_input_shape": "Call net.build(in_shape), without the batch axis: (None, 8). Trainer.fit builds by itself.",
    "bias_initializer": "Write init={'b': zeros}, by parameter name.",
    "Bidirectional.merge_mode": "Write merge=Concatenate(), Add() or Multiply(), a layer. For the mean, Add() and half "
    "of it learn alike.",
    "Bidirectional.backward_layer": "Write backward=, a recurrent layer with go_backwards=True.",
    "cooldown": "There is none: patience counts the epochs between two reductions.",
    "CrossEntropy.from_logits": "Use SoftmaxCrossEntropy, which takes scores.",
    "dim": "It is always the last axis.",
    "axis": "It is always the last axis.",
    "global_clipnorm": CLIPPING,
    "implementation": "There is one.",
    "input_length": "The length is found when the net runs: None in in_shape.",
    "kernel_initializer": "Write init={'Wx': glorot_uniform}, by parameter name.",
    "Dense.kernel_initializer": "Write init={'W': glorot_uniform}, by parameter name.",
    "Conv1D.kernel_initializer": "Write init={'W': glorot_uniform}, by parameter name.",
    "kernel_regularizer": "There is none for a single layer; AdamW(lr, weight_decay=...) decays the weights.",
    "label_smoothing": "Give soft targets: (1 - s) * np.eye(V)[ids] + s / V.",
    "min_lr": "Write min_scale=, a share of the rate at the beginning: min_lr / lr.",
    "model": "Write net=.",
    "p": "Write rate=.",
    "padding_idx": "Give the mask with the batches: PaddedBatches, or Batch(x, t, mask=x != 0).",
    "recurrent_initializer": "Write init={'Wh': orthogonal}, by parameter name.",
    "step_size": "Write every=.",
    "unit_forget_bias": "It is the default; forget_bias= sets another number.",
    "kernel_size": "Write width=.",
    "filters": "Write units=.",
    "learning_rate": "Write lr=.",
    "loss": "Pass the loss to the Trainer: Trainer(net, loss, optimizer).",
    "mask_zero": "Give the mask with the batches: PaddedBatches, or Batch(x, t, mask=x != 0).",
    "maxlen": "Cut the rows first: [row[:maxlen] for row in rows].",
    "metrics": "Pass metrics to the Trainer: Trainer(net, loss, metrics=[accuracy]).",
    "mode": "The direction is read from the metric; for one of your own pass higher_is_better=True or False.",
    "monitor": "Write figure=, a key of the epoch's row such as 'valid_loss'.",
    "num_embeddings": "Write vocab=.",
    "embedding_dim": "Write units=.",
    "num_layers": "Stack layers: Sequential([LSTM(8, return_sequences=True), LSTM(8)]).",
    "optimizer": "Pass the optimizer to the Trainer: Trainer(net, loss, optimizer).",
    "out_features": "Write units=.",
    "output_dim": "Write units=.",
    "padding": "Rows are padded at the end; the mask says which steps are real.",
    "Conv1D.padding": "",
    "restore_best_weights": "Write restore_best=.",
    "return_state": "net.forward_with_state(x) returns (y, state, cache).",
    "rho": "Write decay=.",
    "sample_weight": WEIGHTS,
    "save_best_only": "SaveBest always keeps the best epoch; Checkpoint(best='valid_loss') keeps it beside the newest.",
    "save_weights_only": "A file holds architecture and parameters; load_weights takes the parameters alone.",
    "stateful": STATEFUL,
    "steps_per_epoch": "fit(batches, steps=N) ends after N updates; an epoch is one pass over the batches.",
    "training": "Dropout is active where an rng is given: net.forward(x, rng=np.random.default_rng(0)).",
    "truncating": "Cut the rows first.",
    "use_bias": "The bias is always there in recurrent layers.",
    "validation_data": "Write validation=(x, t), or batches.",
    "validation_steps": "Pass the batches to validate with: validation=[...].",
    "predict.verbose": "There is nothing to print.",
    "evaluate.sample_weight": "Pass ArrayBatches(x, t, weight=w) to evaluate, with one weight per row.",
    "verbose": "Pass quiet=True to the Trainer for no console.",
    "weight_decay": "Use AdamW(lr, weight_decay=...).",
}

ATTRIBUTES = {  # by "owner.attribute", or of a layer or net
    "History.history": "A figure over the epochs is history['loss'], all of an epoch history.rows[-1].",
    "History.epoch": "It is history['epoch'].",
    "Loss.backward": "loss(y, t) returns (value, dy, weight); hand dy to net.backward(dy, cache).",
    "Optimizer.learning_rate": "Use lr.",
    "Optimizer.minimize": "Write optimizer.step(net.params), after net.backward.",
    "Optimizer.param_groups": "Write lr_factors={'encoder.*': 0.1} when you make it.",
    "Optimizer.zero_grad": "Write net.zero_grads().",
    "Trainer.compile": "There is nothing to compile: loss and optimizer are the Trainer's arguments.",
    "Trainer.model": "It is called net.",
    "Trainer.predict": "Write trainer.net.predict(x).",
    "Trainer.predict_classes": "Write trainer.net.predict(x).argmax(axis=-1).",
    "Trainer.predict_proba": "Write trainer.net.predict(x), of a net that ends in Softmax().",
    "Trainer.save": "Write trainer.net.save(path).",
    "Trainer.score": "Write trainer.evaluate(x, t), which returns a dict of the loss and the metrics.",
    "Trainer.stop_training": "Write trainer.stop(reason).",
    "Trainer.summary": "Write trainer.net.summary().",
    "Trainer.train": "Write trainer.fit(x, t).",
    "append": "Write net.add(layer).",
    "apply": "Call net.predict(x), or net.forward(x) for the cache.",
    "compile": "There is nothing to compile: Trainer(net, CrossEntropy(), Adam(2e-3)).fit(x, t).",
    "children": "Write net.layers.values().",
    "clone": "Write net.copy().",
    "count_params": "Write sum(p.value.size for p in net.params.values()), or net.summary().",
    "cpu": "Everything runs on the CPU.",
    "cuda": "Everything runs on the CPU.",
    "eval": "net.predict(x) runs without dropout; a pass trains only where it gets an rng.",
    "evaluate": "Write Trainer(net, loss).evaluate(x, t).",
    "double": "Write net.copy(np.float64).",
    "float": "Write net.copy(np.float32).",
    "fit": "Write Trainer(net, CrossEntropy(), Adam(2e-3)).fit(x, t).",
    "get_config": "Write layer.config(); net.save(path) writes all of a net.",
    "get_layer": "Write net['name'] or net[0].",
    "get_weights": "Write {name: p.value for name, p in net.params.items()}.",
    "input_shape": "It is called in_shape, without the batch axis.",
    "load": "Write minidl.load(path) for a net, net.load_weights(path) for its parameters.",
    "load_state_dict": "Write net.load_weights(path), or net.params[name].value[...] = array.",
    "modules": "Write net.layers.values().",
    "named_parameters": "Write net.params.items().",
    "output_shape": "It is called out_shape, without the batch axis.",
    "parameters": "Optimizers are made without: Adam(1e-3). What they step is net.params, a mapping by dotted name.",
    "pop": "Make a net of the first layers: net[:-1].",
    "predict_on_batch": "Write net.predict(x).",
    "predict_proba": "net.predict(x) returns the outputs of the last layer; end the net with Softmax().",
    "requires_grad_": "Write net.freeze() or net.unfreeze().",
    "reset_states": "State is not kept on the net: forward_with_state(x, state) takes and returns it.",
    "reset_state": "State is not kept on the net: forward_with_state(x, state) takes and returns it.",
    "save_weights": "net.save(path) writes architecture and parameters; load_weights(path) reads the parameters.",
    "set_weights": "Write net.params[name].value[...] = array for each name.",
    "state_dict": "Write {name: p.value for name, p in net.params.items()}.",
    "to_json": "Write net.save(path).",
    "train_on_batch": "Write Trainer(net, loss, optimizer).fit([Batch(x, t)], epochs=1).",
    "to": "Everything runs on the CPU; another dtype is net.copy(np.float64).",
    "train": "A pass trains where it gets an rng; the Trainer sees to that.",
    "trainable_weights": "Write [p for p in net.params.values() if p.trainable].",
    "weights": "It is called params, a mapping by dotted name.",
    "zero_grad": "It is called zero_grads.",
}

NAMES = {  # of the package
    "Accuracy": "Use the function accuracy: Trainer(net, loss, metrics=[accuracy]).",
    "Activation": "Use the activation layers Tanh(), ReLU(), Sigmoid(), Softmax().",
    "BCELoss": "Use BinaryCrossEntropy.",
    "BCEWithLogitsLoss": "Use BinaryCrossEntropy(from_logits=True).",
    "BatchNorm1d": "Use LayerNorm, which does not couple the rows of a batch.",
    "BinaryCrossentropy": "Use BinaryCrossEntropy.",
    "BatchNormalization": "Use LayerNorm, which does not couple the rows of a batch.",
    "CSVLogger": "Use CSVLog(path).",
    "CategoricalCrossentropy": "Use CrossEntropy on a net that ends in Softmax, or SoftmaxCrossEntropy on scores.",
    "CrossEntropyLoss": "Use SoftmaxCrossEntropy, which takes scores.",
    "Conv1d": "Use Conv1D(units, width).",
    "DataLoader": "Use ArrayBatches(x, t), PaddedBatches or TextStream; a list of Batch will do.",
    "GlobalAveragePooling1D": "Use PoolTime().",
    "GlobalMaxPooling1D": "Use PoolTime(kind='max').",
    "Huber": "Subclass Loss and write positions(y, t).",
    "HuberLoss": "Subclass Loss and write positions(y, t).",
    "Input": "A Sequential has none; Graph(inputs=('a', 'b')) names several.",
    "L1Loss": "Subclass Loss and write positions(y, t).",
    "LSTMCell": "Use LSTM; forward_with_state(x, state) takes one step where x has one.",
    "Lambda": "Subclass Layer and write forward and backward.",
    "LambdaCallback": "Subclass Callback.",
    "LayerNormalization": "Use LayerNorm.",
    "LearningRateScheduler": "Pass a function of the step, or a schedule such as StepLR, as lr: Adam(lr=schedule).",
    "Linear": "Use Dense(units): the size of the inputs is found when the net is built.",
    "MAE": "Subclass Loss and write positions(y, t).",
    "MSE": "Use MeanSquaredError.",
    "MSELoss": "Use MeanSquaredError.",
    "Masking": "Masks come with the batches: PaddedBatches, or Batch(x, t, mask=mask).",
    "Model": "Use Sequential or Graph.",
    "ModelCheckpoint": "Use SaveBest(path) for the best net, Checkpoint(folder) to resume.",
    "Module": "Subclass Layer.",
    "MultiHeadAttention": "Use Attention or AdditiveAttention in a Graph.",
    "NLLLoss": "Use CrossEntropy on a net that ends in LogSoftmax.",
    "OneHotEncoder": "CrossEntropy takes ids; one-hot rows are np.eye(V)[ids].",
    "RMSprop": "Use RMSProp.",
    "RNN": "Use SimpleRNN, GRU or LSTM.",
    "SmoothL1Loss": "Subclass Loss and write positions(y, t).",
    "SparseCategoricalCrossentropy": "Use CrossEntropy on a net that ends in Softmax, SoftmaxCrossEntropy on scores; "
    "targets are ids.",
    "SpatialDropout1D": "Use Dropout.",
    "StandardScaler": "Use Scaler.",
    "StepDecay": "Use StepLR.",
    "TensorDataset": "Use ArrayBatches(x, t).",
    "TensorBoard": "Use CSVLog or JSONLog.",
    "TerminateOnNaN": "Use NanGuard.",
    "TextVectorization": "Use CharVocab or WordVocab.",
    "TimeseriesGenerator": "Use SeriesWindows.",
    "TimeDistributed": "Dense, Embedding and activations work on every step already.",
    "Tokenizer": "Use CharVocab or WordVocab.",
    "clip_grad_norm_": "Put ClipNorm(1.0) among the Trainer's callbacks, or use clip_norm(net.params, 1.0).",
    "cross_entropy": "Use CrossEntropy on a net that ends in Softmax, or SoftmaxCrossEntropy on scores.",
    "load_model": "Use load.",
    "nn": "The layers are in minidl itself: minidl.LSTM, minidl.Dense.",
    "no_grad": "net.predict(x) keeps nothing for backward.",
    "one_hot": "CrossEntropy takes ids; one-hot rows are np.eye(V)[ids].",
    "optim": "The optimizers are in minidl itself: minidl.Adam, minidl.SGD.",
    "pack_padded_sequence": "Use pad(rows), which returns the array and the mask, or PaddedBatches.",
    "plot_model": "Write print(net.summary()).",
    "preprocessing": "Use pad(rows), CharVocab or WordVocab.",
    "save": "Write net.save(path).",
    "set_random_seed": "Pass seed= to Trainer or build.",
    "tensor": "Use NumPy arrays.",
    "train_test_split": "Use split_rows(x, t), or split for a series or a text.",
    "utils": "One-hot rows are np.eye(V)[ids]; pad(rows) pads.",
    "manual_seed": "Pass seed= to Trainer or build.",
    "pad_sequences": "Use pad(rows), which returns the array and the mask.",
    "save_model": "Write net.save(path).",
    "to_categorical": "CrossEntropy takes ids; one-hot rows are np.eye(V)[ids].",
}


def argument_hint(owner: str, name: str, known: Collection[str]) -> str:
    """Return what to write for an argument that does not exist: the equivalent, a similar name, or all names."""
    hint = ARGUMENTS.get(f"{owner}.{name}", ARGUMENTS.get(name, ""))
    if hint and not any(f"{other}=" in hint and other not in known for other in words_of(hint)):
        return hint
    close = difflib.get_close_matches(name, known, 1)
    return f"Did you mean {close[0]}?" if close else f"It has {', '.join(known) or 'no arguments'}."


def missing_attribute(owner: type, name: str) -> str:
    """Return the words for an attribute that an object of a public class does not have."""
    keys = (f"{cls.__name__}.{name}" for cls in owner.__mro__)
    hint = next((f". {ATTRIBUTES[key]}" for key in keys if key in ATTRIBUTES), "")
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
