#include "providers/cpu/context.h"

#include <string>
#include <utility>

namespace fastort {

namespace {

thread_local StepObserver* t_observer = nullptr;

}  // namespace

ObserverScope::ObserverScope(StepObserver* observer) noexcept : before_(std::exchange(t_observer, observer)) {}

ObserverScope::~ObserverScope() { t_observer = before_; }

StepObserver* ObserverScope::current() noexcept { return t_observer; }

Tensor pooled_tensor(DataType type, const Shape& shape) {
  if (type == DataType::String) return Tensor(type, shape);
  const auto elements = checked_count(shape);
  if (!elements) fail(ErrorCode::Fail, "a tensor of shape " + to_string(shape) + " is too large to allocate");
  const size_t bytes = static_cast<size_t>(*elements) * element_size(type);
  size_t capacity = 0;
  void* data = BufferPool::instance().take(bytes, &capacity);
  auto buffer = std::make_shared<Buffer>(static_cast<std::byte*>(data), bytes,
                                         [data, capacity] { BufferPool::instance().give(data, capacity); });
  return Tensor(type, shape, std::move(buffer));
}

// The whole values behind one step's inputs and outputs.
class CpuContext::StepFrame final : public Frame {
 public:
  StepFrame(const CpuContext& context, const Step& step, std::span<Value> values)
      : context_(context),
        node_(context.graph_.nodes[static_cast<size_t>(step.node)]),
        info_(context.plan_->frames[static_cast<size_t>(step.frame)]),
        pointers_(context.pointers_.data() + step.first_slot),
        values_(values) {}

  Value input(int i) override {
    const ValueId id = node_.inputs[static_cast<size_t>(i)];
    if (id == kNoValue) return {};
    const TensorDesc& desc = info_.inputs[static_cast<size_t>(i)];
    if (desc.constant) return *desc.constant;
    const Value& held = values_[static_cast<size_t>(id)];
    if (desc.type == DataType::Undefined) return held.is_tensor() ? Value(on_host(held.tensor())) : held;
    // A view that leaves the plan has memory of its own too, which is filled when the plan ends.
    if (held.is_tensor() && held.tensor().raw() == pointers_[i]) return held;
    const size_t bytes = static_cast<size_t>(desc.shape.count()) * element_size(desc.type);
    return Tensor(desc.type, desc.shape, Buffer::wrap(pointers_[i], bytes));
  }

  void set_output(int i, Value value) override {
    const ValueId id = node_.outputs[static_cast<size_t>(i)];
    if (id == kNoValue) return;
    // Arena memory is used again by later steps.
    if (value.is_tensor() && value.tensor().buffer() && value.tensor().buffer()->borrowed()) {
      value = value.tensor().clone();
    }
    values_[static_cast<size_t>(id)] = std::move(value);
  }

  Tensor allocate_output(int i, DataType type, const Shape& shape) override {
    Tensor tensor = pooled_tensor(type, shape);
    set_output(i, tensor);
    return tensor;
  }

 private:
  const CpuContext& context_;
  const Node& node_;
  const FrameInfo& info_;
  std::byte* const* pointers_;
  std::span<Value> values_;
};

CpuContext::CpuContext(std::shared_ptr<const Instance> plan, const Graph& graph)
    : plan_(std::move(plan)),
      graph_(graph),
      pointers_(plan_->slots.size(), nullptr),
      externals_(plan_->externals.size(), nullptr),
      device_externals_(plan_->externals.size(), nullptr) {
  for (size_t i = 0; i < plan_->slots.size(); ++i) {
    const Slot& slot = plan_->slots[i];
    if (slot.loc == Loc::Constant) pointers_[i] = plan_->constants[slot.base].raw() + slot.offset;
    if (slot.loc == Loc::External) patches_.push_back({static_cast<uint32_t>(i), slot.base, slot.offset});
  }
  for (const Kernel* kernel : plan_->stateful) states_.push_back(kernel->make_state());
}

void CpuContext::bind_arena(std::byte* arena) {
  arena_ = arena;
  for (size_t i = 0; i < plan_->slots.size(); ++i) {
    const Slot& slot = plan_->slots[i];
    if (slot.loc == Loc::Arena) pointers_[i] = arena + slot.offset;
  }
}

void CpuContext::bind_externals(std::span<Value> values) {
  for (size_t i = 0; i < externals_.size(); ++i) {
    const External& external = plan_->externals[i];
    Value& value = values[static_cast<size_t>(external.id)];
    device_externals_[i] = nullptr;
    if (value.is_tensor() && device_buffer(value.tensor())) {
      device_externals_[i] = bind_device(external, value);
      if (device_externals_[i]) continue;
    }
    if (external.made_here) {
      const bool bound =
          value.is_tensor() && value.tensor().type() == external.type && value.tensor().shape() == external.shape;
      if (!bound && external.stays) {
        auto fresh = device_state().allocate(external.bytes());
        device_externals_[i] = fresh.get();
        value = Tensor(external.type, external.shape, std::move(fresh));
        continue;
      }
      if (!bound) value = pooled_tensor(external.type, external.shape);
    }
    externals_[i] = value.tensor().raw();
  }
  for (const Patch& patch : patches_) pointers_[patch.pointer] = externals_[patch.external] + patch.offset;
  for (const DeviceUse& use : plan_->device_uses) {
    device_state().bind(use.segment, use.operand, use.output, device_externals_[use.external],
                        use.output ? nullptr : lasting_input(use.external));
  }
}

DeviceState& CpuContext::device_state() const {
  return *static_cast<DeviceState*>(states_[static_cast<size_t>(plan_->device_state)].get());
}

const std::byte* CpuContext::lasting_input(size_t external) const {
  if (plan_->externals[external].made_here || device_externals_[external]) return nullptr;
  const std::byte* const begin = externals_[external];
  const std::byte* const end = begin + plan_->externals[external].bytes();
  // A caller may bind an output where an input lies.
  for (size_t i = 0; i < externals_.size(); ++i) {
    if (!plan_->externals[i].made_here || device_externals_[i]) continue;
    if (externals_[i] < end && begin < externals_[i] + plan_->externals[i].bytes()) return nullptr;
  }
  return begin;
}

DeviceBuffer* CpuContext::bind_device(const External& external, Value& value) const {
  DeviceBuffer* buffer = device_buffer(value.tensor());
  const auto elements = checked_count(external.shape);
  const bool usable = external.device_only && buffer->device() == plan_->device && elements && *elements != 0;
  if (!external.made_here) {
    if (usable) return buffer;
    value = on_host(value.tensor());
    return nullptr;
  }
  if (!usable) {
    value = Value();
    return nullptr;
  }
  const Tensor& tensor = value.tensor();
  if (!buffer->is_request() && tensor.type() == external.type && tensor.shape() == external.shape) return buffer;
  auto fresh = buffer->allocate(static_cast<size_t>(*elements) * element_size(external.type));
  buffer = fresh.get();
  value = Tensor(external.type, external.shape, std::move(fresh));
  return buffer;
}

void CpuContext::run(std::span<Value> values, std::byte* arena, const Parallel& parallel, StepObserver* observer) {
  if (arena != arena_) bind_arena(arena);
  bind_externals(values);
  DeviceState* const device = plan_->device_state >= 0 ? &device_state() : nullptr;
  struct End {
    DeviceState* device;
    ~End() {
      if (device) device->end();
    }
  } const end_of_run{device};
  if (device) device->measure(observer != nullptr);
  const Step* step = plan_->steps.data();
  const Step* const end = step + plan_->steps.size();
  try {
    for (; step != end; ++step) {
      KernelArgs args{pointers_.data() + step->first_slot,
                      step->num_inputs,
                      step->workspace_offset < 0 ? nullptr : arena + step->workspace_offset,
                      step->state < 0 ? nullptr : states_[static_cast<size_t>(step->state)].get(),
                      parallel,
                      nullptr};
      if (observer) observer->begin(*plan_, *step);
      if (step->frame < 0) {
        step->kernel->run(args);
      } else {
        StepFrame frame(*this, *step, values);
        args.frame = &frame;
        step->kernel->run(args);
      }
      if (observer) observer->end(*plan_, *step);
      if (observer && device && step->state == plan_->device_state) observer->device_times(*plan_, device->times());
      if (parallel.cancelled()) fail(ErrorCode::Cancelled, "the run was cancelled (terminate, time-out or Ctrl-C)");
    }
  } catch (const Error& error) {
    fail_step(*step, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    fail_step(*step, ErrorCode::Fail, "out of memory");
  }
  for (const auto& [id, tensor] : plan_->known) values[static_cast<size_t>(id)] = tensor;
}

void CpuContext::fail_step(const Step& step, ErrorCode code, const char* what) const {
  if (code == ErrorCode::Cancelled || step.node < 0) fail(code, what);
  const Node& node = graph_.nodes[static_cast<size_t>(step.node)];
  const std::string& shown = node.origin.op_type.empty() ? node.op_type : node.origin.op_type;
  // A node without a name is found by what it computes.
  const bool by_output = node.name.empty() && node.has_output(0);
  const std::string output =
      by_output ? " (output '" + graph_.values[static_cast<size_t>(node.outputs[0])].name + "')" : "";
  fail(code, "Non-zero status code returned while running " + shown + " node. Name:'" + node.name +
                 "' Status Message: " + what + output);
}

}  // namespace fastort
