import ApusCore
import Testing

@Suite struct DurationTests {
    @Test(
        arguments: [
            (Duration.zero, 0), (.microseconds(1), 1), (.nanoseconds(1999), 1), (.microseconds(-3), -3),
            (.seconds(200_000 as Int), 200_000_000_000), (.seconds(Int64.max), .max), (.seconds(Int64.min), .min),
        ] as [(Duration, Int64)])
    func `Microseconds are exact and clamped to Int64`(duration: Duration, microseconds: Int64) {
        #expect(duration.microseconds == microseconds)
    }
}
