"""Writes the small tokenizers of this folder and the token ids that Python gives for difficult texts.

    python make-tokenizers.py [corpus.txt]    # needs transformers 5, tokenizers 0.23, sentencepiece

The corpus (one text a line) defaults to the difficult texts themselves. The files here were made from these texts, thrice,
and the first 4,000 glosses of WordNet's data.noun.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    BertTokenizer,
    MPNetTokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    XLMRobertaTokenizer,
)

here = Path(__file__).parent
VOCABULARY = 420

texts = [
    "",
    " ",
    "\t\n\r",
    "The quick brown fox jumps over the lazy dog.",
    "  leading and trailing blanks   ",
    "two  blanks   and\ttabs\nand\u00a0no-break\u3000ideographic\u2009thin\u0085next\u2028line",
    "😀😃🎉👩‍👩‍👧‍👦🏳️‍🌈🇩🇪👍🏽",
    "text 😀 between 🎉emoji🎉",
    "Crème brûlée à la façon de Zoë, naïve cliché; Ångström e\u0301 a\u0308 n\u0303",
    "ΟΔΥΣΣΕΥΣ Σίσυφος ΣΑΣ ΑΣ. ΑΣ",
    "İstanbul ISPARTA ıspanak ẞtraße STRASSE ǅ ǲ",
    "Привет, мир! Ёлка й",
    "你好世界，这是中文。𠀀𠀁 and 㐀 豈",
    "日本語のテキスト、カタカナ ｶﾀｶﾅ ガ ヴ",
    "한국어 텍스트 각 조합",
    "مرحبا بالعالم ـ لَا",
    "हिन्दी में पाठ क्षि क़",
    "ไทยภาษา ก้ำ",
    "mixed Ελληνικά и русский with English 123 и ١٢٣ ௧ Ⅷ ½ ² ①",
    "control \u0000 \u0001 \u0007 \u001f \u007f \u009f chars\u200b zero\u200dwidth\ufeff bom \u00ad soft \ufffd \ue000",
    "[SEP] text with [CLS] special [MASK] tokens [PAD] [UNK]",
    "<s> text </s> with <mask> and <pad> <unk> tokens<mask>glued",
    "  <mask>  <s>  [MASK]  ",
    "<S> <MASK> [sep] [Mask] </S>",
    "don't we'll they've I'm he'd it's you're 'S 'T",
    "a,b;c:d!e?f(g)h[i]j{k}l<m>n/o\\p|q@r#s$t%u^v&w*x+y=z~`_-\u2014\u2013\u2026\u201c\u201d\u00ab\u00bb\u3001\u3002",
    "x" * 101 + " " + "x" * 100 + " " + "y" * 250,
    "ﬁ ﬂ ﬀ ™ ℃ ㎏ ㍿ ０１２ ＡＢＣ ～ \uff5e \u301c",
    "▁ a▁b ▁▁ _ \u2581x",
    "##ing ##s ing",
    "1234567890 3.14159 1,000,000 2024-01-31 12:30",
    "https://example.org/path?query=1&b=2#fragment user@example.org",
    "\U0001d54f\U0001d400 𝓉𝑒𝓍𝓉 ℌ 🄰",
    "\u0488 \u0903 \u093e \u0300\u0301 alone marks \u20dd",
    "\u061d \u1b4e \u2e43 \u166d newer punctuation",
    "\u1680 \u180e \u2000 \u200a \u202f \u205f odd blanks",
    "line one\r\nline two\n\n\nline five",
    "    def indented(code):\n        return 1\n",
    "A" * 40 + "b" * 40,
    " ".join(f"word{i % 97} the of {i}" for i in range(2500)),
]

corpus = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines() if len(sys.argv) > 1 else texts


def configure(name: str, model_type: str, **config: object) -> Path:
    folder = here / name
    folder.mkdir(exist_ok=True)
    folder.joinpath("config.json").write_text(json.dumps({"model_type": model_type, **config}) + "\n")
    return folder


def save(name: str, model_type: str, tokenizer: object) -> None:
    tokenizer.save_pretrained(configure(name, model_type))


def trained_word_piece(special: list[str]) -> dict[str, int]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=special, limit_alphabet=240, show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer.get_vocab()


def ordered(vocabulary: dict[str, int]) -> dict[str, int]:
    return dict(sorted(vocabulary.items(), key=lambda item: item[1]))


bert = ordered(trained_word_piece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
save("bert", "bert", BertTokenizer(vocab=bert, model_max_length=128))
save("bert-cased", "bert", BertTokenizer(vocab=bert, do_lower_case=False, tokenize_chinese_chars=False))
# tokenizer.json says lower case, tokenizer_config.json says none: transformers 5 goes by the latter.
cased_config = here / "bert" / "tokenizer_config.json"
contradicting = configure("bert-contradicting", "distilbert")
contradicting.joinpath("tokenizer.json").write_text((here / "bert" / "tokenizer.json").read_text())
contradicting.joinpath("tokenizer_config.json").write_text(
    json.dumps(
        {**json.loads(cased_config.read_text()), "tokenizer_class": "DistilBertTokenizer", "do_lower_case": False}
    )
)

save("mpnet", "mpnet", MPNetTokenizer(vocab=ordered(trained_word_piece(["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]))))

byte_level = Tokenizer(models.BPE())
byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
byte_level.train_from_iterator(
    corpus,
    trainers.BpeTrainer(
        vocab_size=VOCABULARY + 256,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    ),
)
trained = json.loads(byte_level.to_str())["model"]
merges = [tuple(merge) for merge in trained["merges"]]
save("roberta", "roberta", RobertaTokenizer(vocab=ordered(trained["vocab"]), merges=merges, model_max_length=512))
save(
    "roberta-prefix", "roberta", RobertaTokenizer(vocab=ordered(trained["vocab"]), merges=merges, add_prefix_space=True)
)

with tempfile.TemporaryDirectory() as temporary:
    # A small character map in SentencePiece's own format, by its compiler: the full nmt_nfkc would be 300 kB here.
    rules = [("FF10", "30"), ("FF21", "41"), ("FB01", "66 69"), ("2122", "54 4D"), ("3000", "20"), ("A0", "20")]
    rules += [("9", "20"), ("A", "20"), ("D", "20"), ("85", "20"), ("2009", "20"), ("200B", "20"), ("FEFF", "20")]
    rules += [
        ("65 301", "E9"),
        ("FF76", "30AB"),
        ("FF76 FF9E", "30AC"),
        ("1", ""),
        ("7F", ""),
        ("AD", ""),
        ("BD", "31 2044 32"),
    ]
    tsv = Path(temporary) / "rules.tsv"
    tsv.write_text("".join(f"{source}\t{target}\n" for source, target in rules))
    lines = Path(temporary) / "corpus.txt"
    lines.write_text("\n".join(line.replace("\0", "") for line in corpus if len(line) < 3000), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(lines),
        model_prefix=f"{temporary}/unigram",
        vocab_size=VOCABULARY,
        normalization_rule_tsv=str(tsv),
        hard_vocab_limit=False,
        character_coverage=0.99,
        minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(Path(f"{temporary}/unigram.model").read_bytes())
    pieces = [(piece.piece, round(piece.score, 6)) for piece in proto.pieces[3:]]
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces, ("<mask>", 0.0)]
    character_map = proto.normalizer_spec.precompiled_charsmap
save("xlm-roberta", "xlm-roberta", XLMRobertaTokenizer(vocab=vocabulary, _spm_precompiled_charsmap=character_map))

# No class of its own: tokenizer.json is taken as it is.
plain = Tokenizer(models.Unigram(vocabulary, unk_id=3))
plain.normalizer = normalizers.Sequence(
    [
        normalizers.Precompiled(character_map),
        normalizers.Replace(Regex(" {2,}"), " "),
        normalizers.Strip(left=False, right=True),
        normalizers.NFKD(),
        normalizers.StripAccents(),
        normalizers.Lowercase(),
    ]
)
plain.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
plain.decoder = decoders.Metaspace()
plain.post_processor = processors.TemplateProcessing(
    single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)]
)
save(
    "plain",
    "t5",
    PreTrainedTokenizerFast(
        tokenizer_object=plain,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        truncation_side="left",
    ),
)

expected: dict[str, object] = {"texts": texts, "tokenizers": {}}
for folder in sorted(path.parent for path in here.glob("*/tokenizer.json")):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected["tokenizers"][folder.name] = {
        "class": type(tokenizer).__name__,
        "padTokenId": tokenizer.pad_token_id,
        "specialTokenIds": sorted(tokenizer.all_special_ids),
        "vocabularySize": len(tokenizer),
        "modelMaxLength": None if tokenizer.model_max_length > 1e20 else tokenizer.model_max_length,
        "ids": tokenizer(texts, truncation=True, max_length=64)["input_ids"],
        "wholeLengths": [len(ids) for ids in tokenizer(texts)["input_ids"]],
        "truncatedTo7": tokenizer(texts, truncation=True, max_length=7)["input_ids"],
    }
    # What sentence-transformers does for do_lower_case.
    backend = tokenizer.backend_tokenizer
    steps = [backend.normalizer] if backend.normalizer is not None else []
    if not isinstance(backend.normalizer, normalizers.Sequence):
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])
    expected["tokenizers"][folder.name]["lowercased"] = tokenizer(texts, truncation=True, max_length=64)["input_ids"]
here.joinpath("expected.json").write_text(json.dumps(expected, ensure_ascii=True, separators=(",", ":")) + "\n")
print({name: (value["class"], value["vocabularySize"]) for name, value in expected["tokenizers"].items()})
