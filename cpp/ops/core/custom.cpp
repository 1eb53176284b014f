#include "ops/core/custom.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/error.h"
#include "base/fork.h"
#include "ops/core/infer.h"

namespace fastort {
namespace {

// Registered for the whole process, in the order of their registration.
struct Registry {
  std::mutex mutex;
  std::vector<CustomOpPtr> ops;
};

Registry& registry() {
  static auto* const kRegistry = new Registry;
  return *kRegistry;
}

std::shared_ptr<const CustomOps>& current_ops() noexcept {
  thread_local std::shared_ptr<const CustomOps> ops;
  return ops;
}

std::string_view plain(std::string_view domain) { return domain == "ai.onnx" ? std::string_view() : domain; }

// The operands of a node whose outputs have a planned place.
class PlannedFrame final : public Frame {
 public:
  PlannedFrame(const Node& node, std::span<const TensorDesc> inputs, std::span<const TensorDesc> outputs,
               const KernelArgs& args)
      : node_(node), inputs_(inputs), outputs_(outputs), args_(args) {}

  Value input(int i) override {
    if (!node_.has_input(i)) return {};
    return lent(inputs_[static_cast<size_t>(i)], args_.pointers[i]);
  }

  void set_output(int i, Value value) override {
    if (!node_.has_output(i)) return;
    const TensorDesc& desc = outputs_[static_cast<size_t>(i)];
    if (!value.is_tensor() || value.tensor().type() != desc.type || value.tensor().shape() != desc.shape)
      fail_output(i, value.is_tensor() ? describe(value.tensor()) : "no tensor");
    std::byte* const place = args_.out<std::byte>(i);
    const Tensor& tensor = value.tensor();
    if (tensor.raw() == place) return;
    if (desc.type == DataType::String)
      std::copy_n(tensor.data<std::string>(), tensor.count(), reinterpret_cast<std::string*>(place));
    else if (tensor.bytes() != 0)
      std::memcpy(place, tensor.raw(), tensor.bytes());
  }

  Tensor allocate_output(int i, DataType type, const Shape& shape) override {
    const TensorDesc& desc = outputs_[static_cast<size_t>(i)];
    if (type != desc.type || shape != desc.shape)
      fail_output(i, "tensor(" + std::string(name(type)) + ")" + to_string(shape));
    return lent(desc, args_.out<std::byte>(i)).tensor();
  }

 private:
  static Value lent(const TensorDesc& desc, std::byte* data) {
    const size_t bytes = static_cast<size_t>(desc.shape.count()) * element_size(desc.type);
    return Tensor(desc.type, desc.shape, Buffer::wrap(data, bytes));
  }

  [[noreturn]] void fail_output(int i, const std::string& made) const {
    const TensorDesc& desc = outputs_[static_cast<size_t>(i)];
    fail(ErrorCode::Fail, "output " + std::to_string(i) + " of the custom operator is " + made +
                              ", but its inference said tensor(" + std::string(name(desc.type)) + ")" +
                              to_string(desc.shape));
  }

  const Node& node_;
  std::span<const TensorDesc> inputs_, outputs_;
  const KernelArgs& args_;
};

void infer_custom(InferContext& context) { current_ops()->op_of(context.node)->infer(context); }

std::unique_ptr<Kernel> prepare_custom(const OpContext& context) {
  return make_kernel(
      [op = current_ops()->op_of(context.node), node = context.node,
       inputs = std::vector<TensorDesc>(context.inputs.begin(), context.inputs.end()),
       outputs = std::vector<TensorDesc>(context.outputs.begin(), context.outputs.end())](const KernelArgs& args) {
        if (args.frame) return op->compute(node, *args.frame, args.parallel);
        PlannedFrame frame(node, inputs, outputs, args);
        op->compute(node, frame, args.parallel);
      });
}

constexpr Candidate kCustom[] = {{.name = "custom operator", .prepare = prepare_custom}};

}  // namespace

std::shared_ptr<const CustomOps> CustomOps::make(const std::vector<CustomOpPtr>& own) {
  std::vector<CustomOpPtr> all;
  {
    const ForkGuard guard;
    const std::lock_guard lock(registry().mutex);
    all = registry().ops;
  }
  all.insert(all.end(), own.begin(), own.end());
  if (all.empty()) return nullptr;
  auto ops = std::make_shared<CustomOps>();
  for (const CustomOpPtr& op : all) {
    const std::string_view domain = plain(op->domain()), name = op->name();
    ops->entries_.erase({domain, name});  // the names belong to the operator, and go with it
    // What it computes is not known to be the same each time.
    const OpDef def{.domain = domain,
                    .name = name,
                    .infer = infer_custom,
                    .cpu = kCustom,
                    .types = kAllTypes,
                    .flags = kDynamic | kImpure};
    ops->entries_.emplace(std::pair(domain, name), Entry{op, def});
  }
  return ops;
}

const OpDef* CustomOps::find(std::string_view domain, std::string_view name) const {
  const auto found = entries_.find({plain(domain), name});
  return found == entries_.end() ? nullptr : &found->second.def;
}

CustomOpPtr CustomOps::op_of(const Node& node) const { return entries_.at({plain(node.domain), node.op_type}).op; }

CustomOpsScope::CustomOpsScope(std::shared_ptr<const CustomOps> ops) noexcept
    : before_(std::exchange(current_ops(), std::move(ops))) {}

CustomOpsScope::~CustomOpsScope() { current_ops() = std::move(before_); }

const std::shared_ptr<const CustomOps>& CustomOpsScope::current() noexcept { return current_ops(); }

void check_custom_op(const CustomOp& op) {
  if (op.name().empty()) invalid_argument("a custom operator needs a name");
  for (const OpDef* own : all_ops()) {
    if (own->domain == plain(op.domain()) && own->name == op.name())
      invalid_argument("fastort has an operator '" + op.name() + "' of domain '" +
                       (own->domain.empty() ? "ai.onnx" : op.domain()) + "' itself; choose another domain");
  }
}

void register_custom_op(CustomOpPtr op) {
  check_custom_op(*op);
  CustomOpPtr replaced;  // let go of outside of the lock, because it may hold what calls back
  const ForkGuard guard;
  const std::lock_guard lock(registry().mutex);
  for (CustomOpPtr& known : registry().ops) {
    if (plain(known->domain()) != plain(op->domain()) || known->name() != op->name()) continue;
    replaced = std::exchange(known, std::move(op));
    return;
  }
  registry().ops.push_back(std::move(op));
}

bool is_custom(const OpDef& op) { return op.infer == infer_custom; }

bool infers_shapes(const OpDef& op, const Node& node, std::span<const ValueType> inputs, SymbolTable& symbols) {
  const std::vector<KnownValue> values(node.inputs.size());
  const InferredNode inferred = infer_node(op, node, inputs, values, symbols);
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNoValue && !inferred.types[i].is_concrete()) return false;
  return true;
}

}  // namespace fastort
