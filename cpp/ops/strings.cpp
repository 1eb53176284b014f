// StringConcat, StringSplit and StringNormalizer.
#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_set>

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

enum class Case : uint8_t { Keep, Lower, Upper };

// The other case of one character, or the character itself. Letters whose other case is more than one character, and
// those of scripts beyond Latin, Greek, Cyrillic and Armenian, stay as they are.
char32_t convert(char32_t c, Case to) {
  struct Range {
    char32_t first, last;  // capital letters
    int32_t distance;      // to the small letter; 0: pairs of a capital and the small letter after it
  };
  static constexpr Range kRanges[] = {
      {U'A', U'Z', 32},   {0xC0, 0xD6, 32},   {0xD8, 0xDE, 32},     {0x100, 0x12F, 0},   {0x132, 0x137, 0},
      {0x139, 0x148, 0},  {0x14A, 0x177, 0},  {0x178, 0x178, -121}, {0x179, 0x17E, 0},   {0x386, 0x386, 38},
      {0x388, 0x38A, 37}, {0x38C, 0x38C, 64}, {0x38E, 0x38F, 63},   {0x391, 0x3A1, 32},  {0x3A3, 0x3AB, 32},
      {0x400, 0x40F, 80}, {0x410, 0x42F, 32}, {0x460, 0x481, 0},    {0x48A, 0x4BF, 0},   {0x4C0, 0x4C0, 15},
      {0x4C1, 0x4CE, 0},  {0x4D0, 0x52F, 0},  {0x531, 0x556, 48},   {0x1E00, 0x1E95, 0}, {0x1EA0, 0x1EFF, 0},
  };
  if (c == 0x3C2 && to == Case::Upper) return 0x3A3;  // final sigma
  for (const Range& range : kRanges) {
    if (range.distance == 0) {
      if (c < range.first || c > range.last) continue;
      const bool capital = (c - range.first) % 2 == 0;
      if (to == Case::Lower) return capital ? c + 1 : c;
      return capital ? c : c - 1;
    }
    const char32_t shift = static_cast<char32_t>(range.distance);
    if (to == Case::Lower && c >= range.first && c <= range.last) return c + shift;
    if (to == Case::Upper && c - shift >= range.first && c - shift <= range.last) return c - shift;
  }
  return c;
}

// Bytes of the UTF-8 sequence at the front of `text` and its character; one byte and nothing where it is not valid.
std::pair<size_t, std::optional<char32_t>> decode(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {1, lead};
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {1, std::nullopt};
  char32_t c = lead & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0) != 0x80) return {1, std::nullopt};
    c = c << 6 | (byte & 0x3F);
  }
  return {length, c};
}

void append(std::string& text, char32_t c) {
  auto byte = [&](char32_t value) { text.push_back(static_cast<char>(value)); };
  if (c < 0x80) return byte(c);
  if (c < 0x800) {
    byte(0xC0 | c >> 6);
  } else {
    byte(0xE0 | c >> 12);
    byte(0x80 | (c >> 6 & 0x3F));
  }
  byte(0x80 | (c & 0x3F));
}

std::string convert(std::string_view text, Case to) {
  if (to == Case::Keep) return std::string(text);
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const auto [length, c] = decode(text);
    if (c && *c < 0x10000 && convert(*c, to) != *c)
      append(result, convert(*c, to));
    else
      result += text.substr(0, length);
    text.remove_prefix(length);
  }
  return result;
}

Case case_of(const Node& node) {
  const std::string action = node.attributes.get_string("case_change_action", "NONE");
  if (action == "NONE") return Case::Keep;
  if (action == "LOWER") return Case::Lower;
  if (action == "UPPER") return Case::Upper;
  invalid_graph("case_change_action must be LOWER, UPPER or NONE, got '" + action + "'");
}

void infer_normalizer(InferContext& context) {
  case_of(context.node);
  const std::string locale = context.attributes().get_string("locale", "").substr(0, 2);
  if (locale == "tr" || locale == "az" || locale == "lt")
    not_implemented("StringNormalizer: the case rules of the locale '" + locale + "' are not supported");
  if (!context.has_shape(0)) return context.out(0, DataType::String);
  Shape shape = context.shape(0);
  const bool row = shape.rank() == 2 && (shape[0] == 1 || !is_known(shape[0]));
  if (shape.rank() != 1 && !row) context.fail("the input must be [C] or [1,C], got " + to_string(shape));
  if (row) shape[0] = 1;
  shape[shape.size() - 1] = context.unknown();
  context.out(0, DataType::String, shape);
}

std::unique_ptr<Kernel> prepare_normalizer(const OpContext& context) {
  const Case change = case_of(context.node);
  const bool exact = context.attributes().get_int("is_case_sensitive", 0) != 0;
  const Case compare = exact ? Case::Keep : Case::Lower;
  std::unordered_set<std::string> stopwords;
  for (const std::string& word : context.attributes().get_strings("stopwords"))
    stopwords.insert(convert(word, compare));
  return make_kernel([=](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Tensor& src = tensor_of(input, "StringNormalizer");
    const int rank = src.shape().rank();
    if (rank != 1 && !(rank == 2 && src.shape()[0] == 1))
      invalid_argument("StringNormalizer: the input must be [C] or [1,C], got " + to_string(src.shape()));
    std::vector<const std::string*> kept;
    for (const std::string& text : src.strings())
      if (stopwords.empty() || !stopwords.contains(exact ? text : convert(text, compare))) kept.push_back(&text);
    const Dim count = std::max<Dim>(1, static_cast<Dim>(kept.size()));
    const Shape shape = rank == 2 ? Shape{1, count} : Shape{count};
    std::string* dst = args.frame->allocate_output(0, DataType::String, shape).data<std::string>();
    if (kept.empty()) dst->clear();
    for (const std::string* text : kept) *dst++ = convert(*text, change);
  });
}

constexpr Candidate kConcat[] = {{"reference", nullptr, prepare_concat}};
constexpr Candidate kSplit[] = {{"reference", nullptr, prepare_split}};
constexpr Candidate kNormalizer[] = {{"reference", nullptr, prepare_normalizer}};

constexpr OpDef kOps[] = {
    {"", "StringConcat", infer_broadcast, kConcat, kStrings},
    {"", "StringSplit", infer_split, kSplit, kStrings, kDynamic},
    {"", "StringNormalizer", infer_normalizer, kNormalizer, kStrings, kDynamic},
};

}  // namespace

std::span<const OpDef> strings_ops() { return kOps; }

}  // namespace fastort
