// Operators of ai.onnx.ml that map items to others: LabelEncoder and CategoryMapper.
#include <cmath>
#include <string>
#include <unordered_map>

#include "ops/core/move.h"
#include "ops/ml_common.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

// Calls f with the type tag of one of the types of a LabelEncoder.
template <class F>
auto with_label(DataType type, F&& f) {
  return with_type(TypeList<float, double, int64_t, int32_t, int16_t, std::string>{}, "encoding", type, f);
}

// The table from key to value. NaN is equal to itself here; of equal keys the last one counts.
template <class K, class V>
class Labels {
 public:
  Labels(std::span<const K> keys, std::span<const V> values, V fallback) : fallback_(std::move(fallback)) {
    for (size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] != keys[i])
        nan_ = values[i];
      else
        map_[keys[i]] = values[i];
    }
  }
  const V& find(const K& key) const {
    if (key != key) return nan_ ? *nan_ : fallback_;
    const auto found = map_.find(key);
    return found == map_.end() ? fallback_ : found->second;
  }

 private:
  std::unordered_map<K, V> map_;
  std::optional<V> nan_;
  V fallback_;
};

template <class K, class V>
std::unique_ptr<Kernel> label_kernel(int64_t count, Labels<K, V> labels) {
  return make_kernel([count, labels = std::move(labels)](const KernelArgs& args) {
    const K* src = args.in<K>(0);
    V* dst = args.out<V>(0);
    args.parallel.range(count, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dst[i] = labels.find(src[i]);
    });
  });
}

// The list that an attribute gives as a vector of one of the three ONNX kinds or as a tensor.
template <class T, class Context>
std::vector<T> listed(const Context& context, const std::string& prefix) {
  const Attributes& attributes = context.attributes();
  if (const Tensor* tensor = attributes.get_tensor(prefix + "_tensor")) {
    const T* items = tensor->data<T>();
    return {items, items + tensor->count()};
  }
  if constexpr (std::is_same_v<T, std::string>) return attributes.get_strings(prefix + "_strings");
  if constexpr (std::is_same_v<T, int64_t>) return attributes.get_ints(prefix + "_int64s");
  if constexpr (std::is_same_v<T, float>) return attributes.get_floats(prefix + "_floats");
  context.fail(prefix + " are given in another type");
}

template <class Context>
DataType listed_type(const Context& context, const std::string& prefix) {
  const Attributes& attributes = context.attributes();
  DataType type = DataType::Undefined;
  int lists = 0;
  auto found = [&](DataType one) {
    type = one;
    ++lists;
  };
  if (attributes.has(prefix + "_strings")) found(DataType::String);
  if (attributes.has(prefix + "_int64s")) found(DataType::Int64);
  if (attributes.has(prefix + "_floats")) found(DataType::Float);
  if (const Tensor* tensor = attributes.get_tensor(prefix + "_tensor")) found(tensor->type());
  if (lists != 1) context.fail("exactly one of the attributes " + prefix + "_* must be given");
  return type;
}

template <class V>
V default_label(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  if (const Tensor* tensor = attributes.get_tensor("default_tensor")) {
    if (tensor->type() != kDataTypeOf<V> || tensor->count() != 1)
      context.fail("default_tensor must be one " + std::string(name(kDataTypeOf<V>)) + ", got " + describe(*tensor));
    return tensor->data<V>()[0];
  }
  if constexpr (std::is_same_v<V, std::string>)
    return attributes.get_string("default_string", "_Unused");
  else if constexpr (std::is_same_v<V, int64_t>)
    return attributes.get_int("default_int64", -1);
  else if constexpr (std::is_same_v<V, float>)
    return attributes.get_float("default_float", -0.0f);
  else
    return std::is_integral_v<V> ? static_cast<V>(-1) : static_cast<V>(-0.0);
}

void infer_label_encoder(InferContext& context) {
  const DataType type = listed_type(context, "values");
  if (!context.has_shape(0)) return context.out(0, type);
  context.out(0, type, context.shape(0));
}

std::unique_ptr<Kernel> prepare_label_encoder(const OpContext& context) {
  const DataType key_type = listed_type(context, "keys"), value_type = listed_type(context, "values");
  if (key_type != context.type(0))
    context.fail("the keys are " + std::string(name(key_type)) + ", the input is " +
                 std::string(name(context.type(0))));
  return with_label(key_type, [&]<class K>(std::type_identity<K>) {
    return with_label(value_type, [&]<class V>(std::type_identity<V>) {
      const std::vector<K> keys = listed<K>(context, "keys");
      const std::vector<V> values = listed<V>(context, "values");
      if (keys.size() != values.size())
        context.fail(std::to_string(keys.size()) + " keys stand against " + std::to_string(values.size()) + " values");
      return label_kernel(context.shape(0).count(), Labels<K, V>(keys, values, default_label<V>(context)));
    });
  });
}

// ---- CategoryMapper ------------------------------------------------------------------------------------------------

void infer_category_mapper(InferContext& context) {
  const DataType type = context.type(0) == DataType::String ? DataType::Int64 : DataType::String;
  if (!context.has_shape(0)) return context.out(0, type);
  context.out(0, type, context.shape(0));
}

std::unique_ptr<Kernel> prepare_category_mapper(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  const std::vector<std::string> strings = attributes.get_strings("cats_strings");
  const std::vector<int64_t> ints = attributes.get_ints("cats_int64s");
  if (strings.size() != ints.size())
    context.fail("cats_strings has " + std::to_string(strings.size()) + " items, cats_int64s " +
                 std::to_string(ints.size()));
  const int64_t count = context.shape(0).count();
  if (context.type(0) == DataType::String)
    return label_kernel(count, Labels<std::string, int64_t>(strings, ints, attributes.get_int("default_int64", -1)));
  return label_kernel(count,
                      Labels<int64_t, std::string>(ints, strings, attributes.get_string("default_string", "_Unused")));
}

constexpr Candidate kLabelEncoder[] = {{"hash", nullptr, prepare_label_encoder}};
constexpr Candidate kCategoryMapper[] = {{"hash", nullptr, prepare_category_mapper}};

constexpr TypeMask kLabelTypes{DataType::Float, DataType::Double, DataType::Int64,
                               DataType::Int32, DataType::Int16,  DataType::String};
constexpr TypeMask kCategoryTypes{DataType::Int64, DataType::String};

constexpr OpDef kOps[] = {
    {"ai.onnx.ml", "LabelEncoder", infer_label_encoder, kLabelEncoder, kLabelTypes},
    {"ai.onnx.ml", "CategoryMapper", infer_category_mapper, kCategoryMapper, kCategoryTypes},
};

}  // namespace

std::span<const OpDef> ml_labels_ops() { return kOps; }

}  // namespace fastort
