"""What `test_processes.py` runs under torchrun: one of two processes is killed, both go on."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, ClassVar

from skorch.callbacks import Callback
from trained_together import equal_length, summary

from skrnn import RNNClassifier


class Kill(Callback):
    """Kill this process in a step of the training, as a machine does that is switched off."""

    n_steps: ClassVar[int] = 0

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        Kill.n_steps += training
        if training and Kill.n_steps == self.step:
            os.kill(os.getpid(), signal.SIGKILL)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing was kept."""


def fitted(accelerator: Any, folder: Path, step: int | None) -> RNNClassifier:
    """Return an ensemble in whose training processes drop different things."""
    model = RNNClassifier(
        hidden_size=3,
        batch_size=5,
        max_epochs=6,
        n_estimators=2,
        dropout=0.3,
        early_stopping=True,
        random_state=0,
        accelerator=accelerator,
        checkpoint_dir=folder,
        callbacks=[Kill(step)],
    )
    return model.fit(*equal_length(), resume="auto")


def main(folder: Path) -> None:
    """Fit undisturbed and then be killed; or, started again, go on."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    rank, again = accelerator.process_index, (folder / "cut").exists()
    accelerator.wait_for_everyone()
    if not again:
        straight = summary(fitted(accelerator, folder / "straight", None))
        (folder / f"straight-{rank}.json").write_text(json.dumps(straight))
        Kill.n_steps = 0
    # The first process, which writes, in the third epoch of the first network.
    step = 10 if rank == 0 and not again else None
    resumed = summary(fitted(accelerator, folder / "cut", step))
    (folder / f"resumed-{rank}.json").write_text(json.dumps(resumed))
    # A process that ends while its group is still there may abort.
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
