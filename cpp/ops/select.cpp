#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/move/element.h"
#include "ops/core/move.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

// ---- NonZero -------------------------------------------------------------------------------------------------------

void infer_non_zero(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, DataType::Int64, {context.unknown(), context.unknown()});
  context.out(0, DataType::Int64, {context.shape(0).rank(), context.unknown()});
}

template <class T>
bool is_zero(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return value.empty();
  } else {
    return value == T{};
  }
}

// Positions of what is not zero, as one number each.
std::vector<int64_t> non_zero_positions(const Tensor& tensor) {
  std::vector<int64_t> found;
  auto typed = [&]<class T>(std::type_identity<T>) {
    const T* items = tensor.data<T>();
    const int64_t count = tensor.count();
    for (int64_t i = 0; i < count; ++i)
      if (!is_zero(items[i])) found.push_back(i);
  };
  switch (tensor.type()) {  // minus zero is zero
    case DataType::Float:
      typed(std::type_identity<float>{});
      break;
    case DataType::Double:
      typed(std::type_identity<double>{});
      break;
    case DataType::Float16:
    case DataType::BFloat16:
      for (int64_t i = 0; i < tensor.count(); ++i)
        if ((tensor.data<uint16_t>()[i] & 0x7fff) != 0) found.push_back(i);
      break;
    case DataType::Complex64:
    case DataType::Complex128: {
      const bool wide = tensor.type() == DataType::Complex128;
      for (int64_t i = 0; i < tensor.count(); ++i) {
        const bool zero = wide ? tensor.data<double>()[2 * i] == 0 && tensor.data<double>()[2 * i + 1] == 0
                               : tensor.data<float>()[2 * i] == 0 && tensor.data<float>()[2 * i + 1] == 0;
        if (!zero) found.push_back(i);
      }
      break;
    }
    case DataType::String:
      typed(std::type_identity<std::string>{});
      break;
    case DataType::Float8E4M3FN:
    case DataType::Float8E5M2:
      for (int64_t i = 0; i < tensor.count(); ++i)
        if ((tensor.data<uint8_t>()[i] & 0x7f) != 0) found.push_back(i);
      break;
    case DataType::Float6E2M3:
    case DataType::Float6E3M2:
      for (int64_t i = 0; i < tensor.count(); ++i)
        if ((tensor.data<uint8_t>()[i] & 0x1f) != 0) found.push_back(i);
      break;
    case DataType::Float4E2M1:
      for (int64_t i = 0; i < tensor.count(); ++i)
        if ((tensor.data<uint8_t>()[i] & 0x7) != 0) found.push_back(i);
      break;
    default:
      kernels::with_element_size(element_size(tensor.type()), [&]<class T>(std::type_identity<T> tag) {
        if constexpr (std::is_integral_v<T>) typed(tag);
      });
  }
  return found;
}

std::unique_ptr<Kernel> prepare_non_zero(const OpContext&) {
  return make_kernel([](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Tensor& tensor = tensor_of(input, "NonZero");
    const auto found = non_zero_positions(tensor);
    const Shape& shape = tensor.shape();
    const auto count = static_cast<int64_t>(found.size());
    Tensor result = args.frame->allocate_output(0, DataType::Int64, Shape{shape.rank(), count});
    int64_t* dst = result.data<int64_t>();
    args.parallel.range(count, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t rest = found[static_cast<size_t>(i)];
        for (int d = shape.rank() - 1; d >= 0; --d) {
          dst[d * count + i] = rest % shape[static_cast<size_t>(d)];
          rest /= shape[static_cast<size_t>(d)];
        }
      }
    });
  });
}

// Copies the slices that `chosen` names out of [outer, size, inner].
void copy_chosen(const Tensor& src, std::span<const int64_t> chosen, int64_t outer, int64_t size, int64_t inner,
                 Tensor& dst, const Parallel& parallel) {
  kernels::with_element(src.type(), [&]<class T>(std::type_identity<T>) {
    const T* from = src.data<T>();
    T* to = dst.data<T>();
    const auto count = static_cast<int64_t>(chosen.size());
    parallel.range(outer * count, kernels::move_grain<T>() / std::max<int64_t>(inner, 1),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i)
                       kernels::copy_run(from + (i / count * size + chosen[static_cast<size_t>(i % count)]) * inner,
                                         to + i * inner, inner);
                   });
  });
}

// ---- Compress ------------------------------------------------------------------------------------------------------

void infer_compress(InferContext& context) {
  if (!context.attributes().has("axis")) return context.out(0, context.type(0), {context.unknown()});
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  Shape shape = context.shape(0);
  const int axis = normalize_axis(context, context.attributes().get_int("axis"), shape.rank());
  shape[static_cast<size_t>(axis)] = context.unknown();
  context.out(0, context.type(0), shape);
}

std::unique_ptr<Kernel> prepare_compress(const OpContext& context) {
  const bool flat = !context.attributes().has("axis");
  const int64_t given_axis = context.attributes().get_int("axis", 0);
  return make_kernel([=](const KernelArgs& args) {
    const Value input = args.frame->input(0), condition = args.frame->input(1);
    const Tensor& src = tensor_of(input, "Compress");
    const Tensor& keep = tensor_of(condition, "Compress");
    if (keep.type() != DataType::Bool || keep.shape().rank() != 1)
      invalid_argument("Compress: condition must be a vector of bool, got " + describe(keep));
    Shape shape = flat ? Shape{src.count()} : src.shape();
    const auto axis = flat ? size_t{0} : static_cast<size_t>(checked_index("Compress: axis", given_axis, shape.rank()));
    const int64_t size = shape[axis];
    std::vector<int64_t> chosen;
    for (int64_t i = 0; i < keep.count(); ++i) {
      if (!keep.data<bool>()[i]) continue;
      if (i >= size)
        invalid_argument("Compress: condition keeps item " + std::to_string(i) + " of " + std::to_string(size));
      chosen.push_back(i);
    }
    const int64_t outer = shape.count(0, static_cast<int>(axis));
    const int64_t inner = shape.count(static_cast<int>(axis) + 1, shape.rank());
    shape[axis] = static_cast<Dim>(chosen.size());
    Tensor result = args.frame->allocate_output(0, src.type(), shape);
    copy_chosen(src, chosen, outer, size, inner, result, args.parallel);
  });
}

// ---- Unique --------------------------------------------------------------------------------------------------------

void infer_unique(InferContext& context) {
  const Dim count = context.unknown();
  if (context.attributes().has("axis")) {
    if (context.has_shape(0)) {
      Shape shape = context.shape(0);
      shape[static_cast<size_t>(normalize_axis(context, context.attributes().get_int("axis"), shape.rank()))] = count;
      context.out(0, context.type(0), shape);
    } else {
      context.out(0, context.type(0));
    }
  } else {
    context.out(0, context.type(0), {count});
  }
  for (int i = 1; i < context.num_outputs(); ++i) context.out(i, DataType::Int64, {i == 2 ? context.unknown() : count});
}

using OrderedList = Joined<RealList, ComplexList, TypeList<std::string>>;

// -1, 0 or 1; NaNs are equal to each other and above all numbers, as in NumPy. Complex numbers are in the order of
// their real parts, then of their imaginary ones.
template <class T>
int compare(const T& a, const T& b) {
  if constexpr (kIsHalf<T>) {
    return compare(to_float(a), to_float(b));
  } else if constexpr (kIsComplex<T>) {
    const int real = compare(a.real(), b.real());
    return real != 0 ? real : compare(a.imag(), b.imag());
  } else {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(a) || std::isnan(b)) return std::isnan(a) - std::isnan(b);
    }
    return a < b ? -1 : b < a ? 1 : 0;
  }
}

// Slices of [outer, size, inner] in groups of equals.
struct Groups {
  std::vector<int64_t> first;    // the first slice of each group
  std::vector<int64_t> group;    // of each slice
  std::vector<int64_t> members;  // of each group
};

template <class T>
Groups group_equals(const T* items, int64_t outer, int64_t size, int64_t inner, bool sorted) {
  auto compare_slices = [=](int64_t a, int64_t b) {
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t i = 0; i < inner; ++i) {
        const int order = compare(items[(o * size + a) * inner + i], items[(o * size + b) * inner + i]);
        if (order != 0) return order;
      }
    }
    return 0;
  };
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return compare_slices(a, b) < 0; });
  Groups groups;
  groups.group.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare_slices(order[i - 1], order[i]) != 0) {
      groups.first.push_back(order[i]);
      groups.members.push_back(0);
    }
    groups.group[static_cast<size_t>(order[i])] = static_cast<int64_t>(groups.first.size()) - 1;
    ++groups.members.back();
  }
  if (sorted) return groups;
  // In the order of their first slices.
  std::vector<size_t> by_first(groups.first.size());
  std::iota(by_first.begin(), by_first.end(), size_t{0});
  std::sort(by_first.begin(), by_first.end(), [&](size_t a, size_t b) { return groups.first[a] < groups.first[b]; });
  Groups result = groups;
  std::vector<int64_t> place(by_first.size());
  for (size_t i = 0; i < by_first.size(); ++i) {
    place[by_first[i]] = static_cast<int64_t>(i);
    result.first[i] = groups.first[by_first[i]];
    result.members[i] = groups.members[by_first[i]];
  }
  for (int64_t& group : result.group) group = place[static_cast<size_t>(group)];
  return result;
}

std::unique_ptr<Kernel> prepare_unique(const OpContext& context) {
  const bool flat = !context.attributes().has("axis");
  const int64_t given_axis = context.attributes().get_int("axis", 0);
  const bool sorted = context.attributes().get_int("sorted", 1) != 0;
  const int outputs = context.num_outputs();
  return make_kernel([=](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Tensor& src = tensor_of(input, "Unique");
    Shape shape = flat ? Shape{src.count()} : src.shape();
    const auto axis = flat ? size_t{0} : static_cast<size_t>(checked_index("Unique: axis", given_axis, shape.rank()));
    const int64_t outer = shape.count(0, static_cast<int>(axis)), size = shape[axis];
    const int64_t inner = shape.count(static_cast<int>(axis) + 1, shape.rank());
    const Groups groups = with_type(OrderedList{}, "Unique", src.type(), [&]<class T>(std::type_identity<T>) {
      return group_equals(src.data<T>(), outer, size, inner, sorted);
    });
    shape[axis] = static_cast<Dim>(groups.first.size());
    Tensor result = args.frame->allocate_output(0, src.type(), shape);
    copy_chosen(src, groups.first, outer, size, inner, result, args.parallel);
    const std::vector<int64_t>* lists[] = {nullptr, &groups.first, &groups.group, &groups.members};
    for (int i = 1; i < std::min(outputs, 4); ++i) args.frame->set_output(i, Tensor::vector<int64_t>(*lists[i]));
  });
}

// ---- NonMaxSuppression ---------------------------------------------------------------------------------------------

struct Box {
  float y1, x1, y2, x2, area;
};

Box read_box(const float* data, bool center) {
  Box box;
  if (center) {
    box = {data[1] - data[3] / 2, data[0] - data[2] / 2, data[1] + data[3] / 2, data[0] + data[2] / 2, 0};
  } else {
    box = {std::min(data[0], data[2]), std::min(data[1], data[3]), std::max(data[0], data[2]),
           std::max(data[1], data[3]), 0};
  }
  box.area = (box.y2 - box.y1) * (box.x2 - box.x1);
  return box;
}

bool overlaps(const Box& a, const Box& b, float threshold) {
  const float height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  const float width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (height <= 0 || width <= 0 || a.area <= 0 || b.area <= 0) return false;
  const float both = height * width;
  return both / (a.area + b.area - both) > threshold;
}

// The boxes that stay, best score first.
std::vector<int64_t> suppress(std::span<const Box> boxes, const float* scores, int64_t most, float iou_threshold,
                              const float* score_threshold) {
  std::vector<int64_t> order;
  for (size_t i = 0; i < boxes.size(); ++i)
    if (!score_threshold || scores[i] > *score_threshold) order.push_back(static_cast<int64_t>(i));
  // NaN scores come last, so that the order is one.
  auto score = [scores](int64_t i) { return std::isnan(scores[i]) ? -INFINITY : scores[i]; };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return score(a) > score(b); });
  std::vector<int64_t> kept;
  for (int64_t i : order) {
    if (static_cast<int64_t>(kept.size()) >= most) break;
    const bool covered = std::any_of(kept.begin(), kept.end(), [&](int64_t other) {
      return overlaps(boxes[static_cast<size_t>(i)], boxes[static_cast<size_t>(other)], iou_threshold);
    });
    if (!covered) kept.push_back(i);
  }
  return kept;
}

void infer_non_max_suppression(InferContext& context) {
  context.out(0, DataType::Int64, {context.unknown(), 3});
  for (int i = 0; i < 2; ++i)
    if (context.has_shape(i) && context.shape(i).rank() != 3)
      context.fail("boxes and scores must have three dimensions");
}

std::unique_ptr<Kernel> prepare_non_max_suppression(const OpContext& context) {
  const bool center = context.attributes().get_int("center_point_box", 0) != 0;
  bool has[5];
  for (int i = 0; i < 5; ++i) has[i] = context.has_input(i);
  return make_kernel([center, has_most = has[2], has_iou = has[3], has_score = has[4]](const KernelArgs& args) {
    const Value boxes_value = args.frame->input(0), scores_value = args.frame->input(1);
    constexpr const char* kName = "NonMaxSuppression";
    const Tensor &boxes = tensor_of(boxes_value, kName), &scores = tensor_of(scores_value, kName);
    if (scores.shape().rank() != 3) invalid_argument("NonMaxSuppression: scores must be [N,C,boxes]");
    const int64_t batches = scores.shape()[0], classes = scores.shape()[1], count = scores.shape()[2];
    if (!(boxes.shape() == Shape{batches, count, 4}) || scores.type() != DataType::Float)
      invalid_argument("NonMaxSuppression: boxes " + describe(boxes) + " do not fit scores " + describe(scores));
    const int64_t most = has_most ? scalar_as_int(tensor_of(args.frame->input(2), kName)) : 0;
    const auto iou = static_cast<float>(has_iou ? scalar_as_double(tensor_of(args.frame->input(3), kName)) : 0);
    const auto score = static_cast<float>(has_score ? scalar_as_double(tensor_of(args.frame->input(4), kName)) : 0);
    if (!(iou >= 0 && iou <= 1))
      invalid_argument("NonMaxSuppression: iou_threshold " + std::to_string(iou) + " is outside [0, 1]");
    std::vector<Box> read(static_cast<size_t>(batches * count));
    for (size_t i = 0; i < read.size(); ++i) read[i] = read_box(boxes.data<float>() + 4 * i, center);
    std::vector<std::vector<int64_t>> kept(static_cast<size_t>(batches * classes));
    args.parallel.chunks(static_cast<int>(kept.size()), [&](int i) {
      const auto batch = static_cast<size_t>(i / classes);
      kept[static_cast<size_t>(i)] =
          suppress(std::span<const Box>(read).subspan(batch * static_cast<size_t>(count), static_cast<size_t>(count)),
                   scores.data<float>() + i * count, most, iou, has_score ? &score : nullptr);
    });
    int64_t total = 0;
    for (const auto& list : kept) total += static_cast<int64_t>(list.size());
    Tensor result = args.frame->allocate_output(0, DataType::Int64, Shape{total, 3});
    int64_t* dst = result.data<int64_t>();
    for (int64_t i = 0; i < static_cast<int64_t>(kept.size()); ++i) {
      for (int64_t box : kept[static_cast<size_t>(i)]) {
        *dst++ = i / classes;
        *dst++ = i % classes;
        *dst++ = box;
      }
    }
  });
}

constexpr TypeMask kUniqueTypes = kSummed | TypeMask{DataType::String};
constexpr Candidate kNonZero[] = {{"scan", nullptr, prepare_non_zero}};
constexpr Candidate kCompress[] = {{"slices", nullptr, prepare_compress}};
constexpr Candidate kUnique[] = {{"sort", nullptr, prepare_unique}};
constexpr Candidate kNonMaxSuppression[] = {{"greedy", nullptr, prepare_non_max_suppression}};

}  // namespace

std::span<const OpDef> select_ops() {
  static const OpDef kOps[] = {
      {"", "NonZero", infer_non_zero, kNonZero, kAllTypes, kDynamic},
      {"", "Compress", infer_compress, kCompress, kAllTypes, kDynamic},
      {"", "Unique", infer_unique, kUnique, kUniqueTypes, kDynamic},
      {"", "NonMaxSuppression", infer_non_max_suppression, kNonMaxSuppression, kFloat32, kDynamic},
  };
  return kOps;
}

}  // namespace fastort
