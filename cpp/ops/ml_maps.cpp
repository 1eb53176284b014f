// Operators of ai.onnx.ml that make or read maps: ZipMap, DictVectorizer and CastMap.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "ops/core/move.h"
#include "ops/ml_common.h"

namespace fastort {
namespace {

const Map& map_of(const Value& value, const char* op) {
  if (!value.is_map()) invalid_argument(std::string(op) + ": input 0 is no map");
  return value.map();
}

// A map's value, which is one item.
template <class T>
const T& item_of(const Map& map, const Tensor& tensor) {
  if (tensor.type() != map.value || tensor.count() != 1)
    invalid_argument("a map's value is " + describe(tensor) + " instead of one " + std::string(name(map.value)));
  return *tensor.data<T>();
}

// The element types of the map at input 0.
struct MapTypes {
  DataType key = DataType::Undefined, value = DataType::Undefined;
};

MapTypes map_types(const InferContext& context) {
  const ValueType& type = context.in(0);
  if (type.kind == ValueKind::Unknown) return {};
  if (type.kind != ValueKind::Map || !type.inner || !type.inner->is_tensor())
    context.fail("input 0 must be a map, got " + type_string(type));
  return {type.element, type.inner->element};
}

// ---- ZipMap --------------------------------------------------------------------------------------------------------

void infer_zip_map(InferContext& context) {
  const ClassLabels labels = ClassLabels::parse(context, "classlabels_int64s");
  ValueType map;
  map.kind = ValueKind::Map;
  map.element = labels.type();
  map.inner = std::make_shared<const ValueType>(ValueType::tensor(DataType::Float, Shape{}));
  context.outputs[0] = ValueType::sequence(std::move(map));
}

// The labels in the order in which a map keeps them, each with its column; of equal ones the last column counts.
template <class K>
std::vector<std::pair<K, int64_t>> sorted_columns(const std::vector<K>& labels) {
  std::map<K, int64_t> columns;
  for (size_t i = 0; i < labels.size(); ++i) columns[labels[i]] = static_cast<int64_t>(i);
  return {columns.begin(), columns.end()};
}

std::unique_ptr<Kernel> prepare_zip_map(const OpContext& context) {
  const ClassLabels labels = ClassLabels::parse(context, "classlabels_int64s");
  return make_kernel([type = labels.type(), count = labels.size(), ints = sorted_columns(labels.ints),
                      strings = sorted_columns(labels.strings)](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Tensor& src = tensor_of(input, "ZipMap");
    const Shape& shape = src.shape();
    if (shape.rank() < 1 || shape.rank() > 2 || shape[shape.rank() - 1] != count)
      invalid_argument("ZipMap: the input must be [N, " + std::to_string(count) + "] for " + std::to_string(count) +
                       " labels, got " + describe(src));
    const Tensor values = src.clone();  // the maps' values are views of one memory
    const auto at = [&](int64_t i) {
      return Tensor(DataType::Float, Shape{}, values.buffer(), static_cast<size_t>(i) * sizeof(float));
    };
    const int64_t rows = shape.rank() == 1 ? 1 : shape[0];
    auto sequence = std::make_shared<Sequence>();
    sequence->items.reserve(static_cast<size_t>(rows));
    for (int64_t row = 0; row < rows; ++row) {
      auto map = std::make_shared<Map>();
      map->key = type;
      map->value = DataType::Float;
      for (const auto& [key, column] : ints) map->by_int.emplace_hint(map->by_int.end(), key, at(row * count + column));
      for (const auto& [key, column] : strings)
        map->by_string.emplace_hint(map->by_string.end(), key, at(row * count + column));
      sequence->items.emplace_back(std::shared_ptr<const Map>(std::move(map)));
    }
    args.frame->set_output(0, std::shared_ptr<const Sequence>(std::move(sequence)));
  });
}

// ---- DictVectorizer ------------------------------------------------------------------------------------------------

struct Vocabulary {
  std::vector<int64_t> ints;
  std::vector<std::string> strings;

  template <class Context>
  static Vocabulary parse(const Context& context) {
    Vocabulary words{context.attributes().get_ints("int64_vocabulary"),
                     context.attributes().get_strings("string_vocabulary")};
    if (words.ints.empty() == words.strings.empty())
      context.fail("exactly one of int64_vocabulary and string_vocabulary must be given");
    return words;
  }
  int64_t size() const { return static_cast<int64_t>(ints.size() + strings.size()); }
  DataType type() const { return strings.empty() ? DataType::Int64 : DataType::String; }
};

// Calls f with the type tag of one of the types of a map's values.
template <class F>
void with_map_value(DataType type, F&& f) {
  switch (type) {
    case DataType::Float:
      return f(std::type_identity<float>{});
    case DataType::Double:
      return f(std::type_identity<double>{});
    case DataType::Int64:
      return f(std::type_identity<int64_t>{});
    case DataType::String:
      return f(std::type_identity<std::string>{});
    default:
      not_implemented("maps to " + std::string(name(type)));
  }
}

void infer_dict_vectorizer(InferContext& context) {
  const Vocabulary words = Vocabulary::parse(context);
  const MapTypes types = map_types(context);
  if (types.key != DataType::Undefined && types.key != words.type())
    context.fail("the vocabulary is of " + std::string(name(words.type())) + ", the map's keys are " +
                 std::string(name(types.key)));
  // One row, as ONNX Runtime has it and as converters count on.
  context.out(0, types.value, {1, words.size()});
}

std::unique_ptr<Kernel> prepare_dict_vectorizer(const OpContext& context) {
  return make_kernel([words = Vocabulary::parse(context)](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Map& map = map_of(input, "DictVectorizer");
    if (map.key != words.type())
      invalid_argument("DictVectorizer: the vocabulary is of " + std::string(name(words.type())) +
                       ", the map's keys are " + std::string(name(map.key)));
    with_map_value(map.value, [&]<class T>(std::type_identity<T>) {
      T* dst = args.frame->allocate_output(0, map.value, Shape{1, words.size()}).template data<T>();
      const auto fill = [&](const auto& keys, const auto& items) {
        for (const auto& key : keys) {
          const auto found = items.find(key);
          *dst++ = found == items.end() ? T() : item_of<T>(map, found->second);
        }
      };
      fill(words.ints, map.by_int);
      fill(words.strings, map.by_string);
    });
  });
}

// ---- CastMap -------------------------------------------------------------------------------------------------------

DataType cast_target(const InferContext& context) {
  const std::string to = context.attributes().get_string("cast_to", "TO_FLOAT");
  if (to == "TO_FLOAT") return DataType::Float;
  if (to == "TO_STRING") return DataType::String;
  if (to == "TO_INT64") return DataType::Int64;
  context.fail("unknown cast_to \"" + to + "\"");
}

struct MapForm {
  bool sparse;
  int64_t columns;  // of the sparse form

  template <class Context>
  static MapForm parse(const Context& context) {
    const std::string form = context.attributes().get_string("map_form", "DENSE");
    if (form != "DENSE" && form != "SPARSE") context.fail("unknown map_form \"" + form + "\"");
    const int64_t columns = context.attributes().get_int("max_map", 1);
    if (form == "SPARSE" && (columns < 1 || columns > INT32_MAX)) context.fail("max_map is " + std::to_string(columns));
    return {form == "SPARSE", columns};
  }
};

void infer_cast_map(InferContext& context) {
  const MapTypes types = map_types(context);
  if (types.key != DataType::Undefined && types.key != DataType::Int64)
    context.fail("the map's keys must be int64, got " + std::string(name(types.key)));
  const MapForm form = MapForm::parse(context);
  context.out(0, cast_target(context), {1, form.sparse ? form.columns : context.unknown()});
}

[[noreturn]] void no_number(const std::string& text) {
  invalid_argument("CastMap: the value \"" + text + "\" is no number");
}

double number_in(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error == std::errc::invalid_argument || end != text.data() + text.size()) no_number(text);
  return number;
}

// As x86 has it: what does not fit is the smallest one.
int64_t whole_number(double number) {
  constexpr double kLimit = 9223372036854775808.0;
  return number >= -kLimit && number < kLimit ? static_cast<int64_t>(number) : std::numeric_limits<int64_t>::min();
}

void cast(float from, float& to) { to = from; }
void cast(float from, int64_t& to) { to = whole_number(static_cast<double>(from)); }
void cast(float from, std::string& to) { to = std::to_string(from); }
void cast(const std::string& from, float& to) { to = static_cast<float>(number_in(from)); }
void cast(const std::string& from, int64_t& to) {
  const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), to);
  if (error != std::errc() || end != from.data() + from.size()) to = whole_number(number_in(from));
}
void cast(const std::string& from, std::string& to) { to = from; }

// What stands where the sparse form has no item.
template <class T>
T absent() {
  if constexpr (std::is_same_v<T, std::string>)
    return "0.f";  // as ONNX Runtime writes it
  else
    return 0;
}

template <class From, class To>
void cast_map(const Map& map, const MapForm& form, DataType type, const KernelArgs& args) {
  const int64_t columns = form.sparse ? form.columns : static_cast<int64_t>(map.by_int.size());
  To* dst = args.frame->allocate_output(0, type, Shape{1, columns}).template data<To>();
  std::fill_n(dst, columns, absent<To>());
  int64_t next = 0;
  for (const auto& [key, tensor] : map.by_int) {
    if (key < 0) invalid_argument("CastMap: the key " + std::to_string(key) + " is negative");
    const int64_t at = form.sparse ? key : next++;
    if (at < columns) cast(item_of<From>(map, tensor), dst[at]);
  }
}

template <class To>
void cast_values(const Map& map, const MapForm& form, DataType type, const KernelArgs& args) {
  if (map.value == DataType::Float) return cast_map<float, To>(map, form, type, args);
  if (map.value == DataType::String) return cast_map<std::string, To>(map, form, type, args);
  not_implemented("CastMap of a map to " + std::string(name(map.value)));
}

std::unique_ptr<Kernel> prepare_cast_map(const OpContext& context) {
  return make_kernel([form = MapForm::parse(context), type = context.out(0).type](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Map& map = map_of(input, "CastMap");
    if (map.key != DataType::Int64) invalid_argument("CastMap: the map's keys must be int64");
    if (type == DataType::Float) return cast_values<float>(map, form, type, args);
    if (type == DataType::Int64) return cast_values<int64_t>(map, form, type, args);
    cast_values<std::string>(map, form, type, args);
  });
}

constexpr Candidate kZipMap[] = {{"values", nullptr, prepare_zip_map}};
constexpr Candidate kDictVectorizer[] = {{"values", nullptr, prepare_dict_vectorizer}};
constexpr Candidate kCastMap[] = {{"values", nullptr, prepare_cast_map}};

constexpr TypeMask kZipTypes{DataType::Float};

constexpr OpDef kOps[] = {
    {"ai.onnx.ml", "ZipMap", infer_zip_map, kZipMap, kZipTypes, kDynamic},
    {"ai.onnx.ml", "DictVectorizer", infer_dict_vectorizer, kDictVectorizer, kAllTypes, kDynamic},
    {"ai.onnx.ml", "CastMap", infer_cast_map, kCastMap, kAllTypes, kDynamic},
};

}  // namespace

std::span<const OpDef> ml_maps_ops() { return kOps; }

}  // namespace fastort
