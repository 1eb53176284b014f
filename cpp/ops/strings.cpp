// StringConcat, StringSplit, StringNormalizer and RegexFullMatch.
#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/fork.h"
#include "kernels/text/letters.h"
#include "kernels/text/regex.h"
#include "ops/core/move.h"

namespace fastort {
namespace {

constexpr TypeMask kStrings{DataType::String};

// ---- StringConcat --------------------------------------------------------------------------------------------------

// Strides of `shape` as it is broadcast to `rank` dimensions.
Shape broadcast_strides(const Shape& shape, int rank) {
  const Shape own = contiguous_strides(shape);
  Shape strides(static_cast<size_t>(rank - shape.rank()), 0);
  for (size_t i = 0; i < shape.size(); ++i) strides.push_back(shape[i] == 1 ? 0 : own[i]);
  return strides;
}

std::unique_ptr<Kernel> prepare_concat(const OpContext& context) {
  const Shape shape = context.out(0).shape;
  const Shape a_strides = broadcast_strides(context.shape(0), shape.rank());
  const Shape b_strides = broadcast_strides(context.shape(1), shape.rank());
  return make_kernel([=, count = shape.count()](const KernelArgs& args) {
    const std::string *a = args.in<std::string>(0), *b = args.in<std::string>(1);
    std::string* dst = args.out<std::string>(0);
    args.parallel.range(count, 512, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t rest = i, a_at = 0, b_at = 0;
        for (size_t d = shape.size(); d-- > 0; rest /= shape[d]) {
          a_at += rest % shape[d] * a_strides[d];
          b_at += rest % shape[d] * b_strides[d];
        }
        dst[i] = a[a_at] + b[b_at];
      }
    });
  });
}

// ---- StringSplit ---------------------------------------------------------------------------------------------------

void infer_split(InferContext& context) {
  if (!context.has_shape(0)) {
    context.out(0, DataType::String);
    return context.out(1, DataType::Int64);
  }
  Shape shape = context.shape(0);
  context.out(1, DataType::Int64, shape);
  shape.push_back(context.unknown());
  context.out(0, DataType::String, shape);
}

// Calls found(part) for each part of `text` between white space, with everything after split number `most` in one.
template <class F>
void split_at_spaces(std::string_view text, int64_t most, F found) {
  constexpr std::string_view kSpaces = " \t\n\r\v\f";
  text = text.substr(0, text.find_last_not_of(kSpaces) + 1);
  for (size_t at = text.find_first_not_of(kSpaces); at != text.npos; --most) {
    const size_t end = most == 0 ? text.npos : text.find_first_of(kSpaces, at);
    found(text.substr(at, end == text.npos ? end : end - at));
    if (end == text.npos) return;
    at = text.find_first_not_of(kSpaces, end);
  }
}

template <class F>
void split_at(std::string_view text, std::string_view delimiter, int64_t most, F found) {
  if (delimiter.empty()) return split_at_spaces(text, most, found);
  if (text.empty()) return;  // as ONNX Runtime has it: no parts, not one that is empty
  for (size_t at = 0;; --most) {
    const size_t end = most == 0 ? text.npos : text.find(delimiter, at);
    found(text.substr(at, end == text.npos ? end : end - at));
    if (end == text.npos) return;
    at = end + delimiter.size();
  }
}

std::unique_ptr<Kernel> prepare_split(const OpContext& context) {
  const std::string delimiter = context.attributes().get_string("delimiter", "");
  const int64_t most = std::max<int64_t>(-1, context.attributes().get_int("maxsplit", -1));
  const bool has_parts = context.has_output(0), has_counts = context.has_output(1);
  return make_kernel([=](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Tensor& src = tensor_of(input, "StringSplit");
    const std::span<const std::string> texts = src.strings();
    Tensor counts = has_counts ? args.frame->allocate_output(1, DataType::Int64, src.shape()) : Tensor();
    int64_t longest = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      int64_t count = 0;
      split_at(texts[i], delimiter, most, [&](std::string_view) { ++count; });
      longest = std::max(longest, count);
      if (has_counts) counts.data<int64_t>()[i] = count;
    }
    if (!has_parts) return;
    Shape shape = src.shape();
    shape.push_back(longest);
    if (!checked_count(shape)) invalid_argument("StringSplit: the output " + to_string(shape) + " is too large");
    Tensor parts = args.frame->allocate_output(0, DataType::String, shape);
    std::string* row = parts.data<std::string>();
    for (const std::string& text : texts) {
      std::string* dst = row;
      split_at(text, delimiter, most, [&](std::string_view part) { *dst++ = part; });
      row += longest;
      std::fill(dst, row, std::string());
    }
  });
}

// ---- StringNormalizer ----------------------------------------------------------------------------------------------

using kernels::LetterCase;
using kernels::LetterRules;

// Nothing where letters keep their case.
std::optional<LetterCase> case_of(const Node& node) {
  const std::string action = node.attributes.get_string("case_change_action", "NONE");
  if (action == "NONE") return std::nullopt;
  if (action == "LOWER") return LetterCase::Lower;
  if (action == "UPPER") return LetterCase::Upper;
  invalid_graph("case_change_action must be LOWER, UPPER or NONE, got '" + action + "'");
}

// "tr_TR.UTF-8" and "az-Latn" are Turkic; where letters are exchanged one for one, no other language has rules of its
// own.
LetterRules rules_of(const Node& node) {
  const std::string locale = node.attributes.get_string("locale", "");
  const std::string language = locale.substr(0, locale.find_first_of("_-.@"));
  if (locale == "C" || locale == "POSIX") return LetterRules::Ascii;
  return language == "tr" || language == "az" ? LetterRules::Turkic : LetterRules::Unicode;
}

void infer_normalizer(InferContext& context) {
  case_of(context.node);
  if (!context.has_shape(0)) return context.out(0, DataType::String);
  Shape shape = context.shape(0);
  const bool row = shape.rank() == 2 && (shape[0] == 1 || !is_known(shape[0]));
  if (shape.rank() != 1 && !row) context.fail("the input must be [C] or [1,C], got " + to_string(shape));
  if (row) shape[0] = 1;
  shape[shape.size() - 1] = context.unknown();
  context.out(0, DataType::String, shape);
}

std::unique_ptr<Kernel> prepare_normalizer(const OpContext& context) {
  const std::optional<LetterCase> change = case_of(context.node);
  const LetterRules rules = rules_of(context.node);
  const bool exact = context.attributes().get_int("is_case_sensitive", 0) != 0;
  const auto compared = [=](const std::string& text) {
    return exact ? text : kernels::change_case(text, LetterCase::Lower, rules);
  };
  std::unordered_set<std::string> stopwords;
  for (const std::string& word : context.attributes().get_strings("stopwords")) stopwords.insert(compared(word));
  return make_kernel([=](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Tensor& src = tensor_of(input, "StringNormalizer");
    const int rank = src.shape().rank();
    if (rank != 1 && !(rank == 2 && src.shape()[0] == 1))
      invalid_argument("StringNormalizer: the input must be [C] or [1,C], got " + to_string(src.shape()));
    std::vector<const std::string*> kept;
    for (const std::string& text : src.strings())
      if (stopwords.empty() || !stopwords.contains(compared(text))) kept.push_back(&text);
    const Dim count = std::max<Dim>(1, static_cast<Dim>(kept.size()));
    const Shape shape = rank == 2 ? Shape{1, count} : Shape{count};
    std::string* dst = args.frame->allocate_output(0, DataType::String, shape).data<std::string>();
    if (kept.empty()) dst->clear();
    for (const std::string* text : kept) *dst++ = change ? kernels::change_case(*text, *change, rules) : *text;
  });
}

// ---- RegexFullMatch ------------------------------------------------------------------------------------------------

kernels::Regex regex_of(const Node& node) {
  if (!node.attributes.has("pattern")) invalid_graph("the attribute 'pattern' is missing");
  return kernels::Regex(node.attributes.get_string("pattern", ""));
}

void infer_regex(InferContext& context) {
  try {
    regex_of(context.node);
  } catch (const Error& error) {
    context.fail(error.what());
  }
  if (!context.has_shape(0)) return context.out(0, DataType::Bool);
  context.out(0, DataType::Bool, context.shape(0));
}

std::unique_ptr<Kernel> prepare_regex(const OpContext& context) {
  const int64_t count = context.out(0).shape.count();
  return make_kernel([count, regex = std::make_shared<kernels::Regex>(regex_of(context.node))](const KernelArgs& args) {
    // Matching takes locks of RE2's own.
    const ForkGuard guard;
    const std::string* src = args.in<std::string>(0);
    bool* dst = args.out<bool>(0);
    args.parallel.range(count, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dst[i] = regex->matches(src[i]);
    });
  });
}

constexpr Candidate kConcat[] = {{"reference", nullptr, prepare_concat}};
constexpr Candidate kSplit[] = {{"reference", nullptr, prepare_split}};
constexpr Candidate kNormalizer[] = {{"reference", nullptr, prepare_normalizer}};
constexpr Candidate kRegex[] = {{"reference", nullptr, prepare_regex}};

constexpr OpDef kOps[] = {
    {"", "StringConcat", infer_broadcast, kConcat, kStrings},
    {"", "StringSplit", infer_split, kSplit, kStrings, kDynamic},
    {"", "StringNormalizer", infer_normalizer, kNormalizer, kStrings, kDynamic},
    {"", "RegexFullMatch", infer_regex, kRegex, kStrings},
};

}  // namespace

std::span<const OpDef> strings_ops() { return kOps; }

}  // namespace fastort
