"""One model trained by several processes, each with a share of every batch.

Run by torchrun, with one process per GPU or, as here, two on the CPU:

    ACCELERATE_USE_CPU=1 torchrun --nproc_per_node=2 examples/several_processes.py
"""

from accelerate import Accelerator
from sktime.datasets import load_japanese_vowels

from skrnn import RNNClassifier

accelerator = Accelerator()
# Every process reads all of the data, in the same order.
X, y = load_japanese_vowels(split="train", return_type="df-list")
X_test, y_test = load_japanese_vowels(split="test", return_type="df-list")

model = RNNClassifier(
    batch_size=64,  # sequences per step, in all processes together
    max_epochs=15,
    early_stopping=True,
    accelerator=accelerator,
    random_state=0,
    verbose=1,
)
model.fit(X, y)  # called by every process

if accelerator.is_main_process:  # predicting needs one process only
    print(f"{accelerator.num_processes} processes, accuracy {model.score(X_test, y_test):.2f}")
accelerator.wait_for_everyone()
accelerator.end_training()  # all leave the group of processes together
