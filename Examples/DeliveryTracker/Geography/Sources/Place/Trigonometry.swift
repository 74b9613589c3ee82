#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

// Wrappers of functions of the C library, so that the domain does not import a platform module.

func sine(_ radians: Double) -> Double { sin(radians) }
func cosine(_ radians: Double) -> Double { cos(radians) }
func arcsine(_ x: Double) -> Double { asin(min(1, max(-1, x))) }
func arctangent(_ y: Double, over x: Double) -> Double { atan2(y, x) }
func exponential(_ x: Double) -> Double { exp(x) }
func square(_ x: Double) -> Double { x * x }

extension Double {
    /// The angle in radians, of an angle in degrees.
    var radians: Double { self * .pi / 180 }
    /// The angle in degrees, of an angle in radians.
    var degrees: Double { self * 180 / .pi }
}
