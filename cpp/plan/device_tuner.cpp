#include "plan/device_tuner.h"

#include <algorithm>

namespace fastort {
namespace {

// Nodes of fewer operations cost little whatever runs them.
constexpr double kWorthwhile = 1e6;

bool same_types(std::span<const TensorDesc> a, std::span<const TensorDesc> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const TensorDesc& x, const TensorDesc& y) { return x.type == y.type; });
}

bool same_work(const GpuWork& a, const GpuWork& b) {
  return std::equal(a.dispatches.begin(), a.dispatches.end(), b.dispatches.begin(), b.dispatches.end(),
                    [](const GpuDispatch& x, const GpuDispatch& y) {
                      return x.shader == y.shader && x.half == y.half && x.constants == y.constants &&
                             x.groups == y.groups && x.push.words() == y.push.words();
                    });
}

// The node by a way, unless that is none that was tried before, or one with other types.
std::optional<DeviceTrial> trial_of(const DeviceProvider& provider, const DeviceWay& way, const OpDef& op,
                                    const OpContext& context, std::span<const DeviceTrial> before,
                                    std::vector<std::shared_ptr<Tensor>>& constants) {
  DeviceTrial trial{way.name, {}};
  if (place_on_device(provider, way.traits, op, context, trial.form, constants)) return std::nullopt;
  for (const DeviceTrial& other : before)
    if (same_work(other.form.work, trial.form.work)) return std::nullopt;
  const DeviceForm& rule = before.front().form;
  if (!same_types(rule.inputs, trial.form.inputs) || !same_types(rule.outputs, trial.form.outputs)) return std::nullopt;
  return trial;
}

}  // namespace

Refusal place_tuned(const DeviceProvider& provider, const OpDef& op, const OpContext& context, DeviceForm& form,
                    std::vector<std::shared_ptr<Tensor>>& constants, std::vector<std::string>& notes) {
  if (Refusal refusal = place_on_device(provider, provider.traits(), op, context, form, constants)) return refusal;
  DeviceTuner* tuner = provider.tuner();
  // Ways differ in their last bits, and their times from one day to the next.
  if (!tuner || context.options.deterministic) return std::nullopt;
  double flops = 0;
  for (const GpuDispatch& dispatch : form.work.dispatches) flops += dispatch.flops;
  if (flops < kWorthwhile) return std::nullopt;

  std::optional<DeviceChoice> choice = tuner->find(form);
  if (!choice && !tuner->measures()) return std::nullopt;
  std::vector<DeviceTrial> trials;
  trials.push_back({"", form});
  for (const DeviceWay& way : tuner->ways()) {
    if (choice && choice->way != way.name) continue;
    if (auto trial = trial_of(provider, way, op, context, trials, constants)) trials.push_back(std::move(*trial));
  }
  if (!choice && trials.size() > 1) choice = tuner->measure(trials);
  if (!choice) return std::nullopt;
  const auto chosen =
      std::find_if(trials.begin(), trials.end(), [&](const DeviceTrial& trial) { return trial.way == choice->way; });
  if (chosen == trials.end()) return std::nullopt;
  form = std::move(chosen->form);
  notes.push_back(std::move(choice->note));
  return std::nullopt;
}

}  // namespace fastort
