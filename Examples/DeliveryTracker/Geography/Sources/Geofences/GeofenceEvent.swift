package import FoundationEssentials

/// Something that happened between a subject and a fence.
package struct GeofenceEvent<ID: Hashable & Sendable>: Sendable, Equatable {
    package let kind: GeofenceEventKind
    package let fence: ID
    /// When it happened, by the device's clock.
    package let time: Date
    /// Whether the time is that of a point on the straight way between two fixes, rather than of a fix.
    package let isInterpolated: Bool
}

package enum GeofenceEventKind: String, Codable, Sendable {
    case enter, exit
    /// The subject is near the fence, and comes nearer.
    case arriving
}
