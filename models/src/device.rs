//! Where the model runs: the processor, or a GPU when built with the `cuda` feature.

use std::fmt;
use std::str::FromStr;

use crate::error::ModelError;

/// Where the model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number, counted from 0. Needs a build with `--features cuda`.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Device, String> {
        match text {
            "cpu" => Ok(Device::Cpu),
            "cuda" => Ok(Device::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Device::Cuda)
                .ok_or_else(|| format!("unknown device `{other}`; expected `cpu`, `cuda` or `cuda:N`")),
        }
    }
}

impl Device {
    /// The candle device.
    pub(crate) fn open(self) -> Result<candle_core::Device, ModelError> {
        match self {
            Device::Cpu => Ok(candle_core::Device::Cpu),
            Device::Cuda(number) => {
                open_cuda(number).map_err(|problem| ModelError::Device { device: self.to_string(), problem })
            }
        }
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(number: usize) -> Result<candle_core::Device, String> {
    candle_core::Device::new_cuda(number)
        .map_err(|error| format!("cannot be opened: {error}; check `nvidia-smi`, or use `cpu`"))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_number: usize) -> Result<candle_core::Device, String> {
    Err("this program was built without CUDA; build it with `--features cuda`, or use `cpu`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_wrong_ones_are_explained() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(7)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            let error = wrong.parse::<Device>().unwrap_err();
            assert!(error.contains("expected `cpu`"), "{error}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_the_feature_says_how_to_get_it() {
        let error = Device::Cuda(1).open().unwrap_err().to_string();
        assert!(error.contains("cuda:1") && error.contains("--features cuda"), "{error}");
    }
}
