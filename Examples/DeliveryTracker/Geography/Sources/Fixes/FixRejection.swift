/// The reason why a report was dropped. The names are those of the filters.
package enum FixRejection: String, Error, Codable, Sendable, CaseIterable {
    /// The message is not a report, or has numbers that are not finite, or a negative accuracy.
    case malformed
    /// The coordinates are out of range.
    case invalid
    /// The coordinates are (0, 0), which devices report before they know their position.
    case zero
    /// The position is too inaccurate.
    case accuracy
    /// Too old, or older than the fixes with which it could be compared.
    case stale
    /// Too far ahead of the server's clock.
    case future
    /// A fix of the same time or the same sequence number was accepted.
    case duplicate
    /// Too far from the fixes before and after it for any vehicle.
    case speed
    /// The device stands where it stood.
    case `static`
    /// Too near to the fix before to be worth storing.
    case distance
    /// Too many reports in a short time.
    case rate
}
