// Operators of ai.onnx.ml that prepare features.
#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "kernels/move/element.h"
#include "ops/core/move.h"
#include "ops/ml_common.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

// Calls f with the type tag of one of the four number types.
template <class F>
void with_number(DataType type, F&& f) {
  with_type(TypeList<float, double, int64_t, int32_t>{}, "arithmetic", type, f);
}

void infer_float(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, DataType::Float);
  context.out(0, DataType::Float, context.shape(0));
}

// ---- ArrayFeatureExtractor -----------------------------------------------------------------------------------------

void infer_extract(InferContext& context) {
  if (context.type(1) != DataType::Int64 && context.type(1) != DataType::Undefined)
    context.fail("the indices must be int64");
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  Shape shape = context.shape(0);
  if (shape.rank() == 0) context.fail("the data must have at least one dimension");
  if (shape.rank() == 1) shape.insert(0, 1);
  shape[static_cast<size_t>(shape.rank() - 1)] =
      context.has_shape(1) ? product(context, context.shape(1), 0, context.shape(1).rank()) : context.unknown();
  context.out(0, context.type(0), shape);
}

std::unique_ptr<Kernel> prepare_extract(const OpContext& context) {
  const Shape& shape = context.shape(0);
  const int64_t size = shape[static_cast<size_t>(shape.rank() - 1)];
  const int64_t rows = shape.count(0, shape.rank() - 1), count = context.shape(1).count();
  const DataType type = context.type(0);
  return make_kernel([=](const KernelArgs& args) {
    const int64_t* indices = args.in<int64_t>(1);
    for (int64_t i = 0; i < count; ++i)
      if (indices[i] < 0 || indices[i] >= size) index_out_of_range("ArrayFeatureExtractor: indices", indices[i], size);
    auto copy = [&]<class T>(std::type_identity<T>) {
      const T* src = args.in<T>(0);
      T* dst = args.out<T>(0);
      args.parallel.range(rows, 8192 / std::max<int64_t>(count, 1), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row)
          for (int64_t i = 0; i < count; ++i) dst[row * count + i] = src[row * size + indices[i]];
      });
    };
    if (type == DataType::String)
      copy(std::type_identity<std::string>{});
    else
      with_number(type, copy);
  });
}

// ---- Binarizer, Scaler, Imputer ------------------------------------------------------------------------------------

std::unique_ptr<Kernel> prepare_binarizer(const OpContext& context) {
  const float threshold = context.attributes().get_float("threshold", 0);
  const int64_t count = context.shape(0).count();
  const DataType type = context.type(0);
  return make_kernel([=](const KernelArgs& args) {
    with_number(type, [&]<class T>(std::type_identity<T>) {
      const T* src = args.in<T>(0);
      T* dst = args.out<T>(0);
      args.parallel.range(count, 8192, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          dst[i] = static_cast<double>(src[i]) > static_cast<double>(threshold) ? T(1) : T(0);
      });
    });
  });
}

// Checks that a list holds one value for all features or one for each.
void check_per_feature(const OpContext& context, const char* what, size_t count, int64_t features) {
  if (count != 1 && static_cast<int64_t>(count) != features)
    context.fail(std::string(what) + " has " + std::to_string(count) + " values; the input has " +
                 std::to_string(features) + " features");
}

int64_t last_dimension(const Shape& shape) { return shape.rank() == 0 ? 1 : shape[shape.size() - 1]; }

// float32 is computed in float32, several at a time; other types in double.
template <class T>
void scale_row(const T* src, const float* offset, const float* scale, float* dst, int64_t count) {
  using Wide = std::conditional_t<std::is_same_v<T, float>, float, double>;
  for (int64_t i = 0; i < count; ++i)
    dst[i] =
        static_cast<float>((static_cast<Wide>(src[i]) - static_cast<Wide>(offset[i])) * static_cast<Wide>(scale[i]));
}

std::unique_ptr<Kernel> prepare_scaler(const OpContext& context) {
  const int64_t features = last_dimension(context.shape(0)), count = context.shape(0).count();
  std::vector<float> offset = context.attributes().get_floats("offset", {0.0f});
  std::vector<float> scale = context.attributes().get_floats("scale", {1.0f});
  check_per_feature(context, "offset", offset.size(), features);
  check_per_feature(context, "scale", scale.size(), features);
  if (count == 0) return make_kernel([](const KernelArgs&) {});
  offset.resize(static_cast<size_t>(features), offset[0]);
  scale.resize(static_cast<size_t>(features), scale[0]);
  // Several short rows are done as one.
  const int64_t period = features * std::max<int64_t>(1, 256 / features);
  for (int64_t i = features; i < period; ++i) {
    offset.push_back(offset[static_cast<size_t>(i - features)]);
    scale.push_back(scale[static_cast<size_t>(i - features)]);
  }
  return make_kernel([=, type = context.type(0)](const KernelArgs& args) {
    with_number(type, [&]<class T>(std::type_identity<T>) {
      const T* src = args.in<T>(0);
      float* dst = args.out<float>(0);
      args.parallel.range(count, 8192, [&](int64_t begin, int64_t end) {
        // Period by period, the first and the last of which may be parts.
        for (int64_t i = begin; i < end;) {
          const int64_t first = i % period, width = std::min(period - first, end - i);
          scale_row(src + i, offset.data() + first, scale.data() + first, dst + i, width);
          i += width;
        }
      });
    });
  });
}

template <class T>
std::unique_ptr<Kernel> imputer(int64_t count, int64_t features, std::vector<T> values, T replaced) {
  return make_kernel([=, values = std::move(values)](const KernelArgs& args) {
    const T* src = args.in<T>(0);
    T* dst = args.out<T>(0);
    const bool nan = replaced != replaced;
    const bool single = values.size() == 1;
    args.parallel.range(count, 8192, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const bool missing = nan ? src[i] != src[i] : src[i] == replaced;
        dst[i] = missing ? values[single ? 0 : static_cast<size_t>(i % features)] : src[i];
      }
    });
  });
}

std::unique_ptr<Kernel> prepare_imputer(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  const int64_t features = last_dimension(context.shape(0)), count = context.shape(0).count();
  const bool real = is_float(context.type(0));
  const char* name = real ? "imputed_value_floats" : "imputed_value_int64s";
  const std::vector<float> floats = attributes.get_floats("imputed_value_floats");
  const std::vector<int64_t> ints = attributes.get_ints("imputed_value_int64s");
  check_per_feature(context, name, real ? floats.size() : ints.size(), features);
  const float replaced_float = attributes.get_float("replaced_value_float", 0);
  const int64_t replaced_int = attributes.get_int("replaced_value_int64", 0);
  std::unique_ptr<Kernel> kernel;
  with_number(context.type(0), [&]<class T>(std::type_identity<T>) {
    if constexpr (std::is_floating_point_v<T>)
      kernel = imputer<T>(count, features, {floats.begin(), floats.end()}, static_cast<T>(replaced_float));
    else {
      std::vector<T> values;
      for (int64_t value : ints) values.push_back(static_cast<T>(value));
      kernel = imputer<T>(count, features, std::move(values), static_cast<T>(replaced_int));
    }
  });
  return kernel;
}

// ---- Normalizer ----------------------------------------------------------------------------------------------------

enum class Norm { Max, L1, L2 };

// The sum of |x| or of x * x, as four sums that do not wait for one another.
template <bool kSquares, class T>
double sum_of(const T* src, int64_t count) {
  double sums[4] = {};
  const auto term = [](T x) {
    const auto value = static_cast<double>(x);
    return kSquares ? value * value : std::abs(value);
  };
  int64_t i = 0;
  for (; i + 4 <= count; i += 4)
    for (int64_t k = 0; k < 4; ++k) sums[k] += term(src[i + k]);
  for (; i < count; ++i) sums[0] += term(src[i]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

template <class T>
void normalize(Norm norm, const T* src, float* dst, int64_t count) {
  double size = 0;
  if (norm == Norm::Max)
    for (int64_t i = 0; i < count; ++i) size = std::max(size, std::abs(static_cast<double>(src[i])));
  else
    size = norm == Norm::L1 ? sum_of<false>(src, count) : std::sqrt(sum_of<true>(src, count));
  if (size == 0) size = 1;  // the row is all zeros
  if constexpr (std::is_same_v<T, float>) {
    // Divisions of float32 are done several at a time; sizes that float32 cannot hold are not.
    const auto divisor = static_cast<float>(size);
    if (divisor >= std::numeric_limits<float>::min() && divisor <= std::numeric_limits<float>::max()) {
      for (int64_t i = 0; i < count; ++i) dst[i] = src[i] / divisor;
      return;
    }
  }
  for (int64_t i = 0; i < count; ++i) dst[i] = static_cast<float>(static_cast<double>(src[i]) / size);
}

std::unique_ptr<Kernel> prepare_normalizer(const OpContext& context) {
  const Rows rows = rows_of(context);
  const std::string name = context.attributes().get_string("norm", "MAX");
  if (name != "MAX" && name != "L1" && name != "L2") context.fail("unknown norm \"" + name + "\"");
  const Norm norm = name == "MAX" ? Norm::Max : name == "L1" ? Norm::L1 : Norm::L2;
  return make_kernel([=, type = context.type(0)](const KernelArgs& args) {
    with_number(type, [&]<class T>(std::type_identity<T>) {
      args.parallel.range(rows.count, 8192 / std::max<int64_t>(rows.features, 1), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row)
          normalize(norm, args.in<T>(0) + row * rows.features, args.out<float>(0) + row * rows.features, rows.features);
      });
    });
  });
}

// ---- OneHotEncoder -------------------------------------------------------------------------------------------------

int64_t category_count(const Attributes& attributes) {
  return static_cast<int64_t>(attributes.get_ints("cats_int64s").size() +
                              attributes.get_strings("cats_strings").size());
}

void infer_one_hot(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, DataType::Float);
  Shape shape = context.shape(0);
  shape.push_back(category_count(context.attributes()));
  context.out(0, DataType::Float, shape);
}

// `key_of(args, i)` is item i of the input as a category.
template <class Key, class KeyOf>
std::unique_ptr<Kernel> one_hot(const OpContext& context, const std::vector<Key>& categories, KeyOf key_of) {
  std::unordered_map<Key, int64_t> places;
  for (size_t i = 0; i < categories.size(); ++i) places[categories[i]] = static_cast<int64_t>(i);
  const bool allow_unknown = context.attributes().get_int("zeros", 1) != 0;
  const auto width = static_cast<int64_t>(categories.size());
  const int64_t count = context.shape(0).count();
  return make_kernel([=, places = std::move(places)](const KernelArgs& args) {
    float* dst = args.out<float>(0);
    args.parallel.range(count, 8192 / width, [&](int64_t begin, int64_t end) {
      std::fill(dst + begin * width, dst + end * width, 0.0f);
      for (int64_t i = begin; i < end; ++i) {
        const auto found = places.find(key_of(args, i));
        if (found != places.end())
          dst[i * width + found->second] = 1;
        else if (!allow_unknown)
          invalid_argument("OneHotEncoder: item " + std::to_string(i) +
                           " of the input is none of the categories; set the attribute zeros to allow it");
      }
    });
  });
}

std::unique_ptr<Kernel> prepare_one_hot(const OpContext& context) {
  const std::vector<int64_t> ints = context.attributes().get_ints("cats_int64s");
  const std::vector<std::string> strings = context.attributes().get_strings("cats_strings");
  const DataType type = context.type(0);
  if (ints.empty() == strings.empty()) context.fail("exactly one of cats_int64s and cats_strings must be given");
  if (strings.empty() == (type == DataType::String))
    context.fail("the categories are not of the input's type " + std::string(name(type)));
  if (type == DataType::String)
    return one_hot(context, strings,
                   [](const KernelArgs& args, int64_t i) -> const std::string& { return args.in<std::string>(0)[i]; });
  return one_hot(context, ints,
                 [type](const KernelArgs& args, int64_t i) { return number_at(type, args.in<std::byte>(0), i); });
}

// ---- FeatureVectorizer ---------------------------------------------------------------------------------------------

Rows vectorizer_rows(const Shape& shape) {
  if (shape.rank() == 1) return {1, shape[0]};
  return {shape.rank() == 0 ? 1 : shape[0], shape.rank() < 2 ? 1 : shape.count(1, shape.rank())};
}

void infer_vectorizer(InferContext& context) {
  const std::vector<int64_t> widths = context.attributes().get_ints("inputdimensions");
  if (static_cast<int>(widths.size()) != context.num_inputs())
    context.fail("inputdimensions has " + std::to_string(widths.size()) + " sizes for " +
                 std::to_string(context.num_inputs()) + " inputs");
  int64_t total = 0;
  for (int64_t width : widths) {
    if (width < 0 || width > INT32_MAX) context.fail("inputdimensions holds " + std::to_string(width));
    total += width;
  }
  Dim rows = context.unknown();
  if (context.has_shape(0)) {
    const Shape& shape = context.shape(0);
    rows = shape.rank() < 2 ? 1 : shape[0];
  }
  context.out(0, DataType::Float, {rows, total});
}

std::unique_ptr<Kernel> prepare_vectorizer(const OpContext& context) {
  struct Part {
    DataType type;
    int64_t features, width;  // of the input, of the output
  };
  std::vector<Part> parts;
  const std::vector<int64_t> widths = context.attributes().get_ints("inputdimensions");
  const int64_t rows = context.out(0).shape[0], total = context.out(0).shape[1];
  for (int i = 0; i < context.num_inputs(); ++i) {
    const Rows part = vectorizer_rows(context.shape(i));
    if (part.count != rows)
      context.fail("input " + std::to_string(i) + " has " + std::to_string(part.count) + " rows, the first one has " +
                   std::to_string(rows));
    parts.push_back({context.type(i), part.features, widths[static_cast<size_t>(i)]});
  }
  return make_kernel([=, parts = std::move(parts)](const KernelArgs& args) {
    args.parallel.range(rows, 8192 / std::max<int64_t>(total, 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        float* dst = args.out<float>(0) + row * total;
        for (size_t i = 0; i < parts.size(); ++i) {
          const Part& part = parts[i];
          const int64_t kept = std::min(part.features, part.width);
          read_numbers(part.type, args.in<std::byte>(static_cast<int>(i)), row * part.features, kept, dst);
          std::fill(dst + kept, dst + part.width, 0.0f);
          dst += part.width;
        }
      }
    });
  });
}

constexpr Candidate kExtract[] = {{"reference", nullptr, prepare_extract}};
constexpr Candidate kBinarizer[] = {{"reference", nullptr, prepare_binarizer}};
constexpr Candidate kScaler[] = {{"reference", nullptr, prepare_scaler}};
constexpr Candidate kImputer[] = {{"reference", nullptr, prepare_imputer}};
constexpr Candidate kNormalizer[] = {{"reference", nullptr, prepare_normalizer}};
constexpr Candidate kOneHot[] = {{"hash", nullptr, prepare_one_hot}};
constexpr Candidate kVectorizer[] = {{"reference", nullptr, prepare_vectorizer}};

constexpr TypeMask kWithStrings = kMlTypes | TypeMask(DataType::String);

constexpr OpDef kOps[] = {
    {"ai.onnx.ml", "ArrayFeatureExtractor", infer_extract, kExtract, kWithStrings},
    {"ai.onnx.ml", "Binarizer", infer_same, kBinarizer, kMlTypes},
    {"ai.onnx.ml", "Scaler", infer_float, kScaler, kMlTypes},
    {"ai.onnx.ml", "Imputer", infer_same, kImputer, kMlTypes},
    {"ai.onnx.ml", "Normalizer", infer_float, kNormalizer, kMlTypes},
    {"ai.onnx.ml", "OneHotEncoder", infer_one_hot, kOneHot, kWithStrings},
    {"ai.onnx.ml", "FeatureVectorizer", infer_vectorizer, kVectorizer, kMlTypes},
};

}  // namespace

std::span<const OpDef> ml_features_ops() { return kOps; }

}  // namespace fastort
