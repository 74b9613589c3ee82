package import FoundationEssentials

/// A position as a device reports it, of which nothing has been checked.
package struct FixReport: Codable, Sendable, Equatable {
    package var latitude: Double
    package var longitude: Double
    /// When the device was there, by its clock.
    package var at: Date
    /// The radius in metres within which the device is with a probability of about two thirds.
    package var accuracy: Double?
    /// In metres per second.
    package var speed: Double?
    /// A number that the device increases with each report.
    package var sequence: Int?

    package init(
        latitude: Double, longitude: Double, at: Date, accuracy: Double? = nil, speed: Double? = nil,
        sequence: Int? = nil
    ) {
        self.latitude = latitude
        self.longitude = longitude
        self.at = at
        self.accuracy = accuracy
        self.speed = speed
        self.sequence = sequence
    }
}

/// A position of a device, with the times of both clocks.
package struct Fix: Codable, Sendable, Hashable {
    package let place: Place
    /// When the device was there, by its clock.
    package let deviceTime: Date
    /// When the report was received, by the server's clock.
    package let receivedAt: Date
    /// The radius in metres within which the device is with a probability of about two thirds.
    package let accuracy: Double?
    /// The speed that the device reported, in metres per second.
    package let speed: Double?
    package let sequence: Int?

    package init(
        place: Place, deviceTime: Date, receivedAt: Date, accuracy: Double? = nil, speed: Double? = nil,
        sequence: Int? = nil
    ) {
        self.place = place
        self.deviceTime = deviceTime
        self.receivedAt = receivedAt
        self.accuracy = accuracy
        self.speed = speed
        self.sequence = sequence
    }

    /// When the device was there: the time of its clock, by which the fixes of one device are in order.
    package var time: Date { deviceTime }

    /// How long after the device's time the report was received, in seconds. Negative if the device's clock is ahead.
    package var lag: TimeInterval { receivedAt.timeIntervalSince(deviceTime) }
}
