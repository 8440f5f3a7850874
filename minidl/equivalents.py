"""What other frameworks call things, and what to write here: the words behind every "has no argument ..."."""

from __future__ import annotations

import difflib
import re
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
    "kernel_initializer": "Write init={'Wx': glorot_uniform}, by parameter name.",
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
    "weight_decay": "Use AdamW(lr, decay=...).",
}

ATTRIBUTES = {  # of a layer or net
    "apply": "Call net.predict(x), or net.forward(x) for the cache.",
    "compile": "There is nothing to compile: Trainer(net, CrossEntropy(), Adam(2e-3)).fit(x, t).",
    "count_params": "Write sum(p.value.size for p in net.params.values()), or net.summary().",
    "cpu": "Everything runs on the CPU.",
    "cuda": "Everything runs on the CPU.",
    "eval": "net.predict(x) runs without dropout; a pass trains only where it gets an rng.",
    "evaluate": "Write Trainer(net, loss).evaluate(x, t).",
    "fit": "Write Trainer(net, CrossEntropy(), Adam(2e-3)).fit(x, t).",
    "get_weights": "Write {name: p.value for name, p in net.params.items()}.",
    "input_shape": "It is called in_shape, without the batch axis.",
    "load_state_dict": "Write net.load_weights(path), or net.params[name].value[...] = array.",
    "named_parameters": "Write net.params.items().",
    "output_shape": "It is called out_shape, without the batch axis.",
    "parameters": "It is called params, a mapping by dotted name.",
    "predict_proba": "net.predict(x) returns the outputs of the last layer; end the net with Softmax().",
    "requires_grad_": "Write net.freeze() or net.unfreeze().",
    "reset_states": "State is not kept on the net: forward_with_state(x, state) takes and returns it.",
    "reset_state": "State is not kept on the net: forward_with_state(x, state) takes and returns it.",
    "save_weights": "net.save(path) writes architecture and parameters; load_weights(path) reads the parameters.",
    "set_weights": "Write net.params[name].value[...] = array for each name.",
    "state_dict": "Write {name: p.value for name, p in net.params.items()}.",
    "to": "Everything runs on the CPU; another dtype is net.copy(np.float64).",
    "train": "A pass trains where it gets an rng; the Trainer sees to that.",
    "trainable_weights": "Write [p for p in net.params.values() if p.trainable].",
    "weights": "It is called params, a mapping by dotted name.",
    "zero_grad": "It is called zero_grads.",
}

NAMES = {  # of the package
    "Activation": "Use the activation layers Tanh(), ReLU(), Sigmoid(), Softmax().",
    "BCELoss": "Use BinaryCrossEntropy.",
    "BCEWithLogitsLoss": "Use BinaryCrossEntropy(from_logits=True).",
    "BatchNormalization": "Use LayerNorm, which does not couple the rows of a batch.",
    "CategoricalCrossentropy": "Use CrossEntropy on a net that ends in Softmax, or SoftmaxCrossEntropy on scores.",
    "CrossEntropyLoss": "Use SoftmaxCrossEntropy, which takes scores.",
    "DataLoader": "Use ArrayBatches(x, t), PaddedBatches or TextStream; a list of Batch will do.",
    "GlobalAveragePooling1D": "Use PoolTime().",
    "Input": "A Sequential has none; Graph(inputs=('a', 'b')) names several.",
    "L1Loss": "Subclass Loss and write positions(y, t).",
    "Linear": "Use Dense.",
    "MSELoss": "Use MeanSquaredError.",
    "Masking": "Masks come with the batches: PaddedBatches, or Batch(x, t, mask=mask).",
    "Model": "Use Sequential or Graph.",
    "ModelCheckpoint": "Use SaveBest(path) for the best net, Checkpoint(folder) to resume.",
    "Module": "Subclass Layer.",
    "NLLLoss": "Use CrossEntropy on a net that ends in LogSoftmax.",
    "RNN": "Use SimpleRNN, GRU or LSTM.",
    "SparseCategoricalCrossentropy": "Use CrossEntropy on a net that ends in Softmax; targets are ids.",
    "StepDecay": "Use StepLR.",
    "TensorBoard": "Use CSVLog or JSONLog.",
    "TerminateOnNaN": "Use NanGuard.",
    "TimeDistributed": "Dense, Embedding and activations work on every step already.",
    "Tokenizer": "Use CharVocab or WordVocab.",
    "load_model": "Use load.",
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


def words_of(hint: str) -> list[str]:
    """Return the argument that a hint of the form "Write lr=" names."""
    return re.findall(r"^Write (\w+)=", hint)
