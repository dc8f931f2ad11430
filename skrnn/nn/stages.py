"""Stages: what comes before the recurrent layers of a network, made from its specification."""

from skrnn.nn.cells import observes
from skrnn.nn.frontends import (
    CharacterEncoder,
    Frontend,
    TokenEmbedding,
    WordCharacterEmbedding,
    make_frontend,
)
from skrnn.nn.irregular import IrregularInput
from skrnn.nn.specs import NetworkSpec

__all__ = ["embedding_of", "frontend_of", "irregular_of"]


def embedding_of(full: NetworkSpec) -> TokenEmbedding | WordCharacterEmbedding | None:
    """Make the embedding of token ids; None where the input holds numbers.

    Parameters
    ----------
    full : NetworkSpec
        A complete specification.

    Returns
    -------
    TokenEmbedding, WordCharacterEmbedding or None
        With random weights.

    Raises
    ------
    ValueError
        If a number of ids is missing, or characters come without words.
    """
    if full["embedding_dim"] is None:
        if full["character_encoder"] is not None:
            raise ValueError("character_encoder needs embedding_dim, the size of a word's vector.")
        return None
    if full["vocabulary_size"] is None:
        raise ValueError("embedding_dim needs vocabulary_size, the number of token ids.")
    drops = full["dropout"], full["embedding_dropout"], full["word_dropout"]
    words = TokenEmbedding(full["vocabulary_size"], full["embedding_dim"], *drops)
    if full["character_encoder"] is None:
        return words
    if full["character_vocabulary_size"] is None:
        raise ValueError("character_encoder needs character_vocabulary_size, the number of ids.")
    characters = CharacterEncoder(
        full["character_vocabulary_size"],
        full["character_dim"],
        full["character_encoder"],
        dropout=full["dropout"],
    )
    return WordCharacterEmbedding(words, characters)


def irregular_of(full: NetworkSpec) -> IrregularInput | None:
    """Make the stage that reads missing values and times; None where there are none.

    Parameters
    ----------
    full : NetworkSpec
        A complete specification.

    Returns
    -------
    IrregularInput or None
        Without statistics.

    Raises
    ------
    ValueError
        If cell, front end or embedding do not go with what is asked for.
    """
    missing, time_channel, cell = full["missing"], full["time_channel"], full["cell"]
    if missing not in (None, "mask"):
        raise ValueError(f"missing must be 'mask' or None, got {missing!r}.")
    if observes(cell):
        if missing is None:
            raise ValueError(f"cell={cell!r} reads masks; give missing='mask', or another cell.")
        if full["frontend"] is not None:
            raise ValueError(
                f"cell={cell!r} reads values and masks themselves; leave frontend=None."
            )
    if missing is None and time_channel is None:
        return None
    if full["embedding_dim"] is not None:
        raise ValueError("token ids have no missing values and no times; leave embedding_dim=None.")
    return IrregularInput(full["n_features"], mask=missing is not None, time_channel=time_channel)


def frontend_of(full: NetworkSpec, input_size: int) -> Frontend | None:
    """Make the front end; None where there is none.

    Parameters
    ----------
    full : NetworkSpec
        A complete specification.

    input_size : int
        Number of features it reads.

    Returns
    -------
    Frontend or None
        With random weights.
    """
    if full["frontend"] is None:
        return None
    # One output per time step must not see later steps unasked.
    causal = full["pooling"] is None and not full["bidirectional"]
    given = full["frontend_stride"], full["frontend_sizes"]
    return make_frontend(full["frontend"], input_size, *given, causal=causal)
