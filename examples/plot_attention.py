"""
Attention over a sentence
=========================

A classifier that pools with attention says which words it looked at. Here it reads sentences in
which a single word decides, and has to find out which words those are.
"""

# %%
# The sentences are put together at random, so that we know what matters in each of them.
import numpy as np

rng = np.random.default_rng(0)
GOOD = ["wonderful", "moving", "funny", "great"]
BAD = ["dull", "awful", "boring", "weak"]
OTHERS = ["the", "film", "was", "shown", "in", "an", "old", "cinema", "by", "river", "we", "left"]
OTHERS += ["and", "at", "ten", "with", "friends"]


def sentence():
    answer = rng.choice(["positive", "negative"])
    words = list(rng.choice(OTHERS, rng.integers(8, 13)))
    word = rng.choice(GOOD if answer == "positive" else BAD)
    words.insert(rng.integers(0, len(words) + 1), word)
    return " ".join(words), answer


texts, labels = map(list, zip(*[sentence() for _ in range(500)], strict=True))
print(texts[0], "->", labels[0])

# %%
# The tokenizer makes numbers of words, the network learns a vector for each word, and the attention
# pools what it has read.
from sklearn.pipeline import make_pipeline

from skrnn import RNNClassifier
from skrnn.preprocessing import SequenceTokenizer

model = make_pipeline(
    SequenceTokenizer(),
    RNNClassifier(
        cell="gru",
        embedding_dim=16,
        hidden_size=8,
        pooling="attention",
        max_epochs=20,
        random_state=0,
    ),
)
model.fit(texts[:400], labels[:400])
print(f"accuracy on other sentences: {model.score(texts[400:], labels[400:]):.2f}")

# %%
# ``attention_weights`` gives one number per word, which sum to 1 in every sentence. They are shown
# for the first sentences that the network has not seen.
import matplotlib.pyplot as plt

shown = texts[400:404]
tokenizer, network = model[0], model[-1]
weights = network.attention_weights(tokenizer.transform(shown))

figure, axes = plt.subplots(nrows=len(shown), figsize=(9, 6), layout="constrained")
for axis, text, weight, answer in zip(axes, shown, weights, model.predict(shown), strict=True):
    words = text.split()
    axis.imshow(weight[None], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set(title=answer, yticks=[], xticks=range(len(words)))
    axis.set_xticklabels(words, rotation=30, ha="right")
plt.show()

# %%
# How much of the attention is on the words that decide, over all new sentences:
weights = network.attention_weights(tokenizer.transform(texts[400:]))
shares = [
    sum(w for w, word in zip(weight, text.split(), strict=True) if word in GOOD + BAD)
    for weight, text in zip(weights, texts[400:], strict=True)
]
print(f"{np.mean(shares):.2f}, where {np.mean([1 / len(w) for w in weights]):.2f} would be even")

# %%
# The states that are pooled have read the words around them too, from both sides: the weights show
# where the network looks, and not what each word is worth by itself. A large state remembers the
# word at all later steps, and may look at any of them.
