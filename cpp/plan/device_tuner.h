#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plan/placement.h"

// Which of the ways to run a node on a device is the fastest, as was measured there.
namespace fastort {

// Traits that make recipes take another way than the rule's where they have one. The name tells users which.
struct DeviceWay {
  std::string name;
  GpuTraits traits;
};

// A node by one way. Two nodes whose forms by the rule are equal are equal in all that times depend on.
struct DeviceTrial {
  std::string way;  // empty for the rule's
  DeviceForm form;
};

struct DeviceChoice {
  std::string way;   // empty for the rule's
  std::string note;  // the times, for `explain()`
};

class DeviceTuner {
 public:
  virtual ~DeviceTuner() = default;
  virtual std::span<const DeviceWay> ways() const = 0;
  // What is known of a node.
  virtual std::optional<DeviceChoice> find(const DeviceForm& rule) = 0;
  // Whether nodes may be timed, as far as the time for that lasts.
  virtual bool measures() const = 0;
  // Times a node's ways, of which the rule's is the first one, and keeps the result. Nothing where the time did not
  // last or the device could not run them.
  virtual std::optional<DeviceChoice> measure(std::span<const DeviceTrial> trials) = 0;
  // What was measured may be kept now.
  virtual void settle() = 0;
};

// place_on_device() by the way that the provider's tuner knows or finds to be the fastest. What it says of that is
// added to `notes`.
Refusal place_tuned(const DeviceProvider& provider, const OpDef& op, const OpContext& context, DeviceForm& form,
                    std::vector<std::shared_ptr<Tensor>>& constants, std::vector<std::string>& notes);

}  // namespace fastort
