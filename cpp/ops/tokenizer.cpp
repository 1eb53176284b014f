// com.microsoft's Tokenizer.
#include <algorithm>
#include <memory>

#include "kernels/text/regex.h"
#include "ops/core/move.h"

namespace fastort {
namespace {

using kernels::Regex;
using Tokens = std::vector<std::string_view>;

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0u) == 0x80u; }

// The end of the character of UTF-8 that begins at `at`.
size_t character_end(std::string_view text, size_t at) {
  ++at;
  while (at < text.size() && continues_character(text[at])) ++at;
  return at;
}

int64_t character_count(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return !continues_character(byte); });
}

void each_character(std::string_view text, Tokens& tokens) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = character_end(text, at);
    tokens.push_back(text.substr(at, end - at));
    at = end;
  }
}

// Calls found(match) for the matches from left to right. One without a character is none.
template <class F>
void each_match(const Regex& regex, std::string_view text, F found) {
  for (size_t at = 0; at < text.size();) {
    const auto match = regex.find(text, at);
    if (!match) return;
    const auto begin = static_cast<size_t>(match->data() - text.data());
    if (match->empty()) {
      if (begin >= text.size()) return;
      at = character_end(text, begin);
      continue;
    }
    found(*match);
    at = begin + match->size();
  }
}

enum class Split : uint8_t { Characters, Separators, Matches };

struct Rules {
  Split split = Split::Characters;
  std::vector<Regex> patterns;  // separators, one after the other; or the one that tokens match
  bool mark;
  int64_t least;  // characters of a token
  std::string pad;

  explicit Rules(const OpContext& context) {
    const Attributes& attributes = context.attributes();
    for (const char* name : {"mark", "pad_value", "mincharnum"})
      if (!attributes.has(name)) context.fail(std::string("the attribute ") + name + " is required");
    mark = attributes.get_int("mark") != 0;
    least = attributes.get_int("mincharnum");
    pad = attributes.get_string("pad_value", "");
    if (least < 1) context.fail("mincharnum must be at least 1, got " + std::to_string(least));
    const std::vector<std::string> separators = attributes.get_strings("separators");
    const std::string expression = attributes.get_string("tokenexp", "");
    if (separators.empty() && expression.empty()) context.fail("one of separators and tokenexp must be given");
    // As in ONNX Runtime, an empty separator or the expression "." stands for every character, line ends included.
    const bool characters = separators.empty() ? expression == "." : separators.size() == 1 && separators[0].empty();
    if (characters) {
      if (least > 1) context.fail("mincharnum must be 1 where each character is a token");
      return;
    }
    split = separators.empty() ? Split::Matches : Split::Separators;
    if (separators.empty()) patterns.emplace_back(expression, Regex::Match::Longest);
    for (const std::string& separator : separators) {
      if (separator.empty()) context.fail("an empty separator can only stand alone");
      patterns.emplace_back(separator, Regex::Match::Longest);
    }
  }

  void tokenize(std::string_view text, Tokens& tokens) const {
    tokens.clear();
    if (split == Split::Characters) return each_character(text, tokens);
    if (split == Split::Matches) {
      each_match(patterns[0], text, [&](std::string_view match) { tokens.push_back(match); });
    } else {
      Tokens pieces = {text};
      for (const Regex& pattern : patterns) {
        tokens.clear();
        for (std::string_view piece : pieces) {
          const char* at = piece.data();
          const auto keep = [&](const char* end) {
            if (end != at) tokens.emplace_back(at, static_cast<size_t>(end - at));
          };
          each_match(pattern, piece, [&](std::string_view match) {
            keep(match.data());
            at = match.data() + match.size();
          });
          keep(piece.data() + piece.size());
        }
        pieces.swap(tokens);
      }
      tokens.swap(pieces);
    }
    std::erase_if(tokens, [&](std::string_view token) { return character_count(token) < least; });
  }
};

void infer(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, DataType::String);
  Shape shape = context.shape(0);
  if (shape.rank() < 1 || shape.rank() > 2) context.fail("the input must be [C] or [N, C], got " + to_string(shape));
  shape.push_back(context.unknown());
  context.out(0, DataType::String, shape);
}

std::unique_ptr<Kernel> prepare(const OpContext& context) {
  return make_kernel([rules = std::make_shared<const Rules>(context)](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Tensor& src = tensor_of(input, "Tokenizer");
    const std::span<const std::string> texts = src.strings();
    Tokens tokens, all;
    std::vector<size_t> ends;
    size_t longest = 0;
    for (const std::string& text : texts) {
      rules->tokenize(text, tokens);
      longest = std::max(longest, tokens.size());
      all.insert(all.end(), tokens.begin(), tokens.end());
      ends.push_back(all.size());
    }
    // Where no text has a token there are no marks either.
    const size_t width = longest + (rules->mark && longest > 0 ? 2 : 0);
    Shape shape = src.shape();
    shape.push_back(static_cast<int64_t>(width));
    if (!checked_count(shape)) invalid_argument("Tokenizer: the output " + to_string(shape) + " is too large");
    std::string* dst = args.frame->allocate_output(0, DataType::String, shape).data<std::string>();
    if (width == 0) return;
    size_t begin = 0;
    for (size_t end : ends) {
      std::string* row = dst;
      if (rules->mark) *row++ = "\x02";
      for (size_t i = begin; i < end; ++i) *row++ = all[i];
      if (rules->mark) *row++ = "\x03";
      std::fill(row, dst + width, rules->pad);
      dst += width;
      begin = end;
    }
  });
}

constexpr Candidate kTokenizer[] = {{"re2", nullptr, prepare}};
constexpr TypeMask kStrings{DataType::String};
constexpr OpDef kOps[] = {{"com.microsoft", "Tokenizer", infer, kTokenizer, kStrings, kDynamic}};

}  // namespace

std::span<const OpDef> tokenizer_ops() { return kOps; }

}  // namespace fastort
